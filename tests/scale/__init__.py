"""Runs of the whole loop at sizes that take minutes: `make scale`."""
