"""The pages of a local Studio."""
