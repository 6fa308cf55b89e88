"""Decodes untrusted files in a child process within limits, and the messages of both sides."""
