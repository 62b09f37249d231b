"""Label many recordings: batch their windows, turn scores into labels, and audit fast mode."""
