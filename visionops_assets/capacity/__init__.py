"""Computes the needs of an installation from figures that were measured on one small machine.

Pure: knows no settings and no server. `demand` is the question, `measurements` are the known
figures, `planning` draws the conclusions, and `cost` puts prices on them.
"""
