"""Text that others wrote, made fit for a terminal or a log."""


def printable(text: str) -> str:
    """Make any text fit to be printed: what controls a terminal, or is no text, is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
