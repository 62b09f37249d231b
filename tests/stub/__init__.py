"""The block with a stub in the place of the model: everything else is what ships. It needs no torch."""
