"""What the served model answered, and how often it was right."""
