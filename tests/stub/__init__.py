"""The block with a stub instead of the model; everything else is the real code. It doesn't need torch."""
