"""Runs without Edge Impulse: recordings from a folder or an object store, label files out."""
