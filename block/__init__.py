"""Label audio recordings with an Audio Spectrogram Transformer (AST) in this process."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from block.api import Labeler, TimeSegment, label

__all__ = ["Labeler", "TimeSegment", "__version__", "label"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import `label`, `Labeler` or `TimeSegment` on first use, since PyTorch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from block import api

    return getattr(api, name)
