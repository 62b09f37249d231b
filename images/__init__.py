"""Build, try and push the block's two images. This package isn't part of them."""
