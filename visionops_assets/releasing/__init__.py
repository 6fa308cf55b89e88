"""Released versions: their signed folders, what Triton loads of each, and how that is laid out."""
