"""A stand-in for Edge Impulse Studio on this machine: a folder of audio served as one project.

It answers the REST calls that an AI labeling block makes, and refuses what the real service refuses
or is not known to accept. Where the service's behavior is not established, the docstring of the
handler (``api/reads.py``, ``api/writes.py``) or of the rule (``data/validation.py``, ``api/list_query.py``)
says which behavior was chosen.

Rooms: ``data`` (the folder, its audio and its database) ← ``api`` (calls → project, over HTTP) and ``jobs`` (blocks
run on the project) ← ``web`` (pages) ← ``server`` (the command).
"""
