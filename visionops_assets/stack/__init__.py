"""The servers of `visionops up`: one module each, one supervisor. Knows no stage."""
