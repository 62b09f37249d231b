"""The benchmark, `python -m bench`: compare this block with its peers, in one run on one machine.

The block never imports this package. Seconds on a shared machine mean little, so the results to quote are ratios to a
peer that took turns with the block, and shares of the machine's fastest matrix product.
"""
