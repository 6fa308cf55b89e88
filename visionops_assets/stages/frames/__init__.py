"""Media to frames: decoded in a sandbox, preprocessed by the spec, packed into shards."""
