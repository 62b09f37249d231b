"""The Edge Impulse platform: its API, its samples, and who set their labels."""
