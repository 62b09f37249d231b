"""Building, trying and pushing the block's two images; nothing of this is in them."""
