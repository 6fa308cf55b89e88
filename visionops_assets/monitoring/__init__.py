"""Measures the served model, the servers and the pipeline, and decides whether to repair it."""
