"""The model: from a checkpoint folder to features, the forward pass (exact or fast) and logits."""
