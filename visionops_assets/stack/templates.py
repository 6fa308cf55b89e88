"""Configurations of servers, made from the templates of `deploy/`."""

from pathlib import Path

import jinja2


def render(template: Path, **values: object) -> str:
    """Fill in a template.

    Raises:
        jinja2.UndefinedError: it asks for a value that is not given.

    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        # The result is YAML, in which HTML's escapes would be wrong.
        autoescape=False,  # noqa: S701
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(values)
