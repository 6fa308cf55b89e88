"""Decoding untrusted files in a child process within limits, and what parent and child say."""
