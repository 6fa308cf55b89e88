"""`visionops demo`: the whole loop on real media, driven from outside by the public APIs only."""
