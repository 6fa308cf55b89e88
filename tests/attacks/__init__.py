"""Attacks on a running stack: each test tries one, and its docstring says what must hold.

Integration tests with the marker `attack` are rows of the same table.
"""
