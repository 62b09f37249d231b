"""Many machines: the same runs on a Ray cluster. Nothing outside of this room imports ray."""
