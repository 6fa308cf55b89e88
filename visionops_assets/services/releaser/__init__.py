"""Acts on what serves: rolls back as decided, judges rollouts, brings Triton to the catalog."""
