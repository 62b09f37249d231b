"""The HTTP API of a local Studio: the calls of Edge Impulse's API that a labeling block makes."""
