"""`visionops keys ls | add | revoke`: who may use the services."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visionops_assets.cli.screen import AsJson, Columns, moment, print_fact, print_json, print_rows
from visionops_assets.contracts import Scope

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import ApiKey

_DURATION = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLUMNS: Columns = {
    "prefix": "prefix",
    "name": "name",
    "scopes": "scopes",
    "rate limit": lambda row: row["rate_limit"] or "default",
    "created": "created_at",
    "expires": lambda row: row["expires_at"] or "never",
    "revoked": "revoked_at",
}

app = typer.Typer(help="API keys: who may use the services.", no_args_is_help=True)


def duration(text: str) -> timedelta:
    """Read a time such as 30m, 24h or 90d.

    Raises:
        typer.BadParameter: it is not a time.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a time. Write it like 30m, 24h or 90d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the person or program that uses the key.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="A right of the key; give one option per right.")
    ] = None,
    expires: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="TIME", help="Time until it expires, e.g. 90d. Default: never."
        ),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Limit of requests to one replica, e.g. 100/second.")
    ] = None,
    rotate: Annotated[
        bool,
        typer.Option(
            "--rotate",
            help="Make a new key with the rights of this name's last one, and retire that.",
        ),
    ] = False,
    grace: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            show_default="24h",
            help="With --rotate: time that the old key still works.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It is shown only once."""
    from visionops_assets.catalog import keys
    from visionops_assets.catalog.connection import Catalog

    with Catalog().begin() as session:
        if rotate:
            left = keys.DEFAULT_GRACE if grace is None else grace
            row, key = keys.rotate(
                session, name, scope or (), grace=left, rate_limit=rate, lifetime=expires
            )
        else:
            row, key = keys.create(session, name, scope or (), rate_limit=rate, lifetime=expires)
    if as_json:
        print_json(_public(row) | {"key": key.get_secret_value()})
        return
    typer.echo(
        f"Key {row.prefix} of {row.name}: {', '.join(row.scopes)}; "
        f"{f'expires {moment(row.expires_at)}' if row.expires_at else 'does not expire'}. "
        "Keep it now: it is not stored and cannot be shown again.",
        err=True,
    )
    typer.echo(key.get_secret_value())


@app.command()
def ls(
    every: Annotated[
        bool, typer.Option("--all", help="List expired and revoked keys, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    from visionops_assets.catalog import keys
    from visionops_assets.catalog.connection import Catalog

    now = datetime.now(UTC)
    with Catalog().begin() as session:
        rows = [row for row in keys.list_all(session) if every or keys.is_valid(row, now)]
    nothing = "There is no valid key. `visionops keys add NAME --scope SCOPE` makes one."
    print_rows([_public(row) for row in rows], _COLUMNS, as_json, nothing)


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(metavar="PREFIX|NAME", help="See `visionops keys ls`.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key, or all keys of a name. The services refuse it within 5 seconds."""
    from visionops_assets.catalog import keys
    from visionops_assets.catalog.connection import Catalog

    with Catalog().begin() as session:
        revoked = keys.revoke(session, which)
    for row in revoked:
        print_fact(_public(row), as_json, f"Revoked {row.prefix} of {row.name}.")


def _public(row: "ApiKey") -> dict[str, Any]:
    return {
        "prefix": row.prefix,
        "name": row.name,
        "scopes": row.scopes,
        "rate_limit": row.rate_limit,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
    }
