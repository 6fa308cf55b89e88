"""VisionOps: media in, a served model out, every step a Dagster asset."""
