"""Run blocks on a project, each in its own process, and store their results."""
