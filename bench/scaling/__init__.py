"""`python -m bench scaling`: simulate how far a cluster scales.

We don't have 512 machines to try this on, so this simulates a run over a million recordings, portion by portion: the
driver with the cost of each step, the network to it, the source of the recordings, and workers that start, read,
compute and die. The costs of the driver's steps were measured with the real code, and simulated runs were
compared with real ones.
"""
