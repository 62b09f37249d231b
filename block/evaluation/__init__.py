"""How good the labels are, held against the user's own annotations: metrics, thresholds, comparisons, a report."""
