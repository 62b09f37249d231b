"""From a checkpoint folder to logits: features, the forward pass and its fast ways."""
