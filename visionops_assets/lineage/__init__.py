"""Says what anything came from, and what came of it: walks the rows of the catalog both ways."""
