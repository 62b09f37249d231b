"""A stand-in for Edge Impulse Studio on this machine: a folder of audio served as one project.

It answers the REST calls that an AI labeling block makes, and refuses what the real service refuses
or is not known to accept. Where the service's behaviour is not established, the docstring of the
handler (``reads.py``, ``writes.py``) or of the rule (``contract.py``, ``listing.py``) says which
behaviour was chosen.

Rooms: ``sample`` (what the others pass around) ← ``contract`` and ``listing`` (pure rules), ``wav``
(file → WAV bytes), ``folder`` (directory → audio files) ← ``store`` (SQLite) ← ``project`` (folder and
store together) ← ``answers`` (sample → JSON), ``call``, ``reads``, ``writes`` (calls → project) ←
``app`` (HTTP: key, envelope, ``byte_range``) ← ``server`` (the command).
"""
