"""Attacks on a running stack: each test tries one, and its docstring says what must hold."""
