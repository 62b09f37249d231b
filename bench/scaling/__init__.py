"""`python -m bench scaling`: how far a cluster carries, found by simulation.

Nobody keeps 512 machines to try this on, so a run over a million recordings is simulated, chunk by chunk: the driver's
loop with what each step of it costs, the way to it, the source of the recordings, and workers that start, read, compute
and die. What the driver does was measured with the code that does it, and a simulated run is held to real ones.
"""
