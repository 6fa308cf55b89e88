"""Object store, broker, model tracking and Triton: each a Dagster resource, each usable alone."""
