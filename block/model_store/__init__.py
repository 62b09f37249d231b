"""The model store: checkpoints in models/, listed, fetched, packed and verified, each held to its digests."""
