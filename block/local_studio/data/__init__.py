"""A folder of audio as a project: its files, its database, and its rules."""
