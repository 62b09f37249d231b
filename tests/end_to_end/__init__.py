"""The pages of the local Studio in a browser: what they do, how they look, and who can use them."""
