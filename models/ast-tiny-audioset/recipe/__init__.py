"""The recipe for the embedded checkpoint: data, training and evaluation."""
