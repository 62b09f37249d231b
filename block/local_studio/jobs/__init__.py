"""Blocks that are run on a project, each in a process of its own, and what is kept of them."""
