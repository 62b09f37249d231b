"""How good the labels are by the user's own annotations: metrics, thresholds, comparisons, a report."""
