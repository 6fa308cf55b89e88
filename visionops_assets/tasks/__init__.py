"""The tasks: each room here knows what its models answer, and how that is learned and judged.

`base.py` says what a task is, `registry.py` names them all. Nothing outside names one.
"""
