"""Run jobs on many machines with a Ray cluster. Only this package imports ray."""
