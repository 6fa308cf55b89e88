"""Doors before a broker, as companies have them, and a second broker; for tests."""
