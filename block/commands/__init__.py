"""The commands, one a module, with their options beside them; and their exit codes, besides 130 for canceled."""

ALL_LABELED, SOME_FAILED, NOTHING_STARTED = 0, 1, 2
