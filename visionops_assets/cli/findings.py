"""Shows the findings of checks, of a machine and of a cluster."""

from collections.abc import Iterable
from typing import NoReturn

import typer

from visionops_assets.cli.screen import print_fact
from visionops_assets.findings import Finding, Grade


def show(findings: Iterable[Finding], as_json: bool, width: int) -> NoReturn:
    """Print one line per finding, with subjects in a column of `width` characters.

    Raises:
        typer.Exit: always; its code is 0 if nothing is bad, else 1.
    """
    is_well = True
    for each in findings:
        line = f"{each.grade:4}  {each.subject:{width}}  {each.finding} {each.advice}"
        print_fact(each, as_json, line.rstrip())
        is_well &= each.grade is not Grade.BAD
    raise typer.Exit(0 if is_well else 1)
