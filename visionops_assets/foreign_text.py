"""Text that others wrote, made fit for a terminal or a log."""


def printable(text: str) -> str:
    """Make any text printable: terminal controls, and bytes that are not text, are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
