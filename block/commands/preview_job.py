"""The value of `--propose-actions`."""

from __future__ import annotations

import argparse


def read_preview_job(text: str) -> int:
    """Return the number of a preview job. Raise ArgumentTypeError for anything else, also for an empty value."""
    # If an empty value were ignored, as for other options, a preview would write real labels.
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected the number of a preview job; for no preview, omit the option"
        )
    return int(text)
