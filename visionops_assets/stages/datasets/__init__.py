"""Immutable dataset snapshots, split by group."""
