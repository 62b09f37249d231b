"""A local replacement for Edge Impulse Studio that serves a folder of audio as one project.

It answers the REST calls that an AI labeling block makes. It refuses whatever the real service refuses, or isn't known
to accept. Where the service's behavior isn't documented, the docstring of the handler (``api/reads.py``,
``api/writes.py``) or of the rule (``data/validation.py``, ``api/list_query.py``) states the assumption made here.

Layers, lowest first: ``data`` (the folder, its audio and its database), ``api`` (HTTP calls) and ``jobs`` (runs of a
block), ``web`` (pages), ``server`` (the command).
"""
