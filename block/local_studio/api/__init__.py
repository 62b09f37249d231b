"""The HTTP API of a local Studio, as Edge Impulse has it."""
