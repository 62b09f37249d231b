"""The Edge Impulse platform: its API, its samples, and whose labels they hold."""
