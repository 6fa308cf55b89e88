"""Measures the figures that the documentation quotes, each as a ratio to a named limit.

Run by `python -m benchmarks`.
"""
