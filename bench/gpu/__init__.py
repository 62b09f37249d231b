"""The GPU proof, `python -m bench gpu`: one command that shows in eight minutes what this block does on a GPU.

A supervisor starts a worker process, which runs one step after another and writes down every fact at once. A step that
raises, hangs or kills the worker costs only itself. With `--dry`, every step runs on a CPU at a small size.
"""
