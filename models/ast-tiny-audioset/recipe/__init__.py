"""The recipe of the embedded checkpoint: data, training and evaluation."""
