"""Kills every process of a running stack, again and again, and checks that nothing was lost.

`python -m tests.chaos --seed N`; `test_chaos.py` is a short run of the same.
"""
