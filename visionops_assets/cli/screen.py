"""The terminal that commands print to."""

import sys

from rich.console import Console
from rich.markup import escape

from visionops_assets.client import foreign_text

# A table that is piped somewhere keeps its columns.
console = Console(width=None if sys.stdout.isatty() else 200)


def printable(value: object) -> str:
    """Show foreign text as it is: no markup in it counts, no control character gets through."""
    return escape(foreign_text.printable(str(value)))
