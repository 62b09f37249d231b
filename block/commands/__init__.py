"""The commands, one module each, and their exit codes. A canceled command exits with 130."""

ALL_LABELED, SOME_FAILED, NOTHING_STARTED = 0, 1, 2
