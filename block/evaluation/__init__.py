"""Compare labels with the user's annotations: metrics, thresholds, comparisons, a report."""
