"""Count the memory of live tensors, on any device: on PyTorch's meta device, that of a GPU that isn't there."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, count the bytes of all tensors that PyTorch's operations return, until they are freed.

    Memory that an operation uses only within itself isn't seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak_bytes = 0
        self._live: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[Any], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = {id(storage) for storage in map(_find_storage, tree_leaves((args, kwargs))) if storage is not None}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = _find_storage(tensor)
            if storage is not None and id(storage) not in known:
                self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key in self._live:
            return
        self._live[key] = storage.nbytes()
        self.bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.bytes -= self._live.pop(key)


def _find_storage(value: object) -> torch.UntypedStorage | None:
    return value.untyped_storage() if isinstance(value, torch.Tensor) else None
