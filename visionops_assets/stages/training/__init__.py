"""Snapshot to registered model version."""
