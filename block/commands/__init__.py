"""The commands, one a module, with their options beside them."""
