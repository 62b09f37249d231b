"""How commands end: 0 every recording labeled, 1 some failed, 2 nothing could start. 130, canceled, is in cancel."""

from __future__ import annotations

ALL_LABELED, SOME_FAILED, NOTHING_STARTED = 0, 1, 2
