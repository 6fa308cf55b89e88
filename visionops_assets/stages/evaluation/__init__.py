"""The gate: candidate and champion on the same frozen holdout."""
