"""The model store: list, fetch, pack and verify the checkpoints in models/, with the digests of their files."""
