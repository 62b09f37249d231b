"""A classifier for scores that are kept: they depend on the window alone, and the model waits until it is needed."""

from __future__ import annotations

from typing import Any

from block.checkpoints import Checkpoint
from block.classifier import FILL_WINDOWS, Classifier, Device


class SteadyClassifier(Classifier):
    """Like a `Classifier`, but its constructor returns at once; the first use of the model loads it.

    That use may then raise the CheckpointError that the constructor of a `Classifier` raises.

    On a CPU a pass holds one window unless `batch_size` says otherwise. How a product of matrices is rounded depends on
    its size, so what else is in a pass shows in the last bits of the logits: a run that goes on from stored scores
    would not end with the bits of one that was never interrupted. A GPU is too slow with small passes; there the last
    bits may differ.
    """

    def __init__(self, checkpoint: Checkpoint, device: Device, batch_size: int = 0) -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.fill = batch_size or FILL_WINDOWS[device.device.type]
        self._batch_size = batch_size

    @property
    def loaded(self) -> bool:
        """Has it been needed?"""
        return "capacity" in vars(self)

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there: before the model is loaded that is all that loading sets.
        if name.startswith("__") or self.loaded:
            raise AttributeError(f"a classifier has no {name!r}")
        super().__init__(self.checkpoint, self.device, self._batch_size)
        if self.device.device.type == "cpu" and not self._batch_size:
            self.capacity = 1
        return getattr(self, name)
