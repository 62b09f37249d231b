"""The benchmark, `python -m bench`: this block beside its peers, in one run on one machine.

Nothing here is read by a run. Seconds on a shared machine mean little, so what is quoted is a ratio to a peer that was
timed in turns with the block, or a share of what the machine's own matrix products reach.
"""
