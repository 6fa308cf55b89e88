"""`visionops doctor`: checks of this machine and its servers, with advice."""

import typer

from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.settings import settings_home


def doctor(as_json: AsJson = False) -> None:
    """Check this machine and its servers, and say how to repair them.

    Each line is ok, warn or bad. The exit code is 0 if nothing is bad, else 1.
    """
    from visionops_assets.stack.diagnosis import Grade
    from visionops_assets.stack.examination import examine

    is_well = True
    for each in examine(settings_home()):
        line = f"{each.grade:4}  {each.subject:17}  {each.finding} {each.advice}"
        print_fact(each, as_json, line.rstrip())
        is_well &= each.grade is not Grade.BAD
    raise typer.Exit(0 if is_well else 1)
