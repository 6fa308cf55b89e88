"""The terminal that commands print to."""

import sys

from rich.console import Console

# A table that is piped somewhere keeps its columns.
console = Console(width=None if sys.stdout.isatty() else 200)
