"""Label many recordings: windows into batches, scores into labels, with an audit in fast mode."""
