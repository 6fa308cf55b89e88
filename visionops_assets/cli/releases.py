"""`visionops releases ls | promote | rollback | canary | shadow | stop`: what serves, and why."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from visionops_assets.cli.screen import console, printable
from visionops_assets.contracts import Role
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from visionops_assets.catalog.schema import ReleaseEvent
    from visionops_assets.contracts import Rollout
    from visionops_assets.stages.serving.audit import Order
    from visionops_assets.stages.serving.controller import Controller
    from visionops_assets.stages.serving.release import ReleaseOutcome

app = typer.Typer(help="Releases: what serves, since when, and why.", no_args_is_help=True)


def _reason(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("Say why: it goes into the audit.")
    return text.strip()


Version = Annotated[
    int, typer.Argument(min=1, metavar="VERSION", help="See `visionops releases ls`, or MLflow.")
]
Reason = Annotated[str, typer.Option(callback=_reason, help="Why: it goes into the audit.")]
Actor = Annotated[
    str, typer.Option("--as", metavar="NAME", show_default="user@host", help="Who does it.")
]
Share = Annotated[
    float, typer.Option(min=0.01, max=100, metavar="PERCENT", help="Part of the traffic it gets.")
]


@app.command()
def ls(
    limit: Annotated[int, typer.Option(min=1, help="How many lines of the audit.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Show the champion, the canary or shadow, and the audit: newest first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.releases import champion, newest_events
    from visionops_assets.catalog.rollouts import active_rollout

    model_name = load_settings().model_name
    with Catalog().begin() as session:
        current = champion(session, model_name)
        rollout = active_rollout(session, model_name)
        events = newest_events(session, model_name, limit)
    if as_json:
        for event in events:
            typer.echo(json.dumps(_public(event), default=datetime.isoformat))
        return
    if current is None:
        console.print(f"No version of {model_name} was released yet.")
    else:
        since = _time(current.released_at)
        console.print(f"Champion: version {current.model_version}, since {since}.")
    if rollout is not None:
        console.print(_describe(rollout))
    console.print(_table(events))


@app.command()
def promote(version: Version, reason: Reason, actor: Actor = "") -> None:
    """Make an exported version the champion, if the gate passed it."""
    from visionops_assets.stages.serving.release import Releaser

    order = _order(actor, reason)
    releaser = Releaser(_controller())
    _tell(releaser.promote(load_settings().model_name, version, order))


@app.command()
def rollback(
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option(min=1, metavar="VERSION", show_default="the champion before"),
    ] = None,
    actor: Actor = "",
) -> None:
    """Make a version that served before the champion again. It takes one model load."""
    from visionops_assets.stages.serving.release import Releaser

    order = _order(actor, reason)
    _tell(Releaser(_controller()).roll_back(load_settings().model_name, order, to))


@app.command()
def canary(version: Version, share: Share, reason: Reason, actor: Actor = "") -> None:
    """Let a version answer a share of the traffic; it is promoted or ended by rule."""
    _start(version, Role.CANARY, share, _order(actor, reason))


@app.command()
def shadow(version: Version, share: Share, reason: Reason, actor: Actor = "") -> None:
    """Let a version answer a share of the traffic unseen; it is judged, never promoted."""
    _start(version, Role.SHADOW, share, _order(actor, reason))


@app.command()
def stop(reason: Reason, actor: Actor = "") -> None:
    """End the canary or shadow that is under way, without a verdict."""
    from visionops_assets.stages.serving.trials import Trials

    order = _order(actor, reason)
    rollout = Trials(_controller()).stop(load_settings().model_name, order)
    typer.echo(f"Ended the {rollout.role.value} of version {rollout.model_version}.")


def _start(
    version: int, role: Literal[Role.CANARY, Role.SHADOW], share_percent: float, order: "Order"
) -> None:
    from visionops_assets.stages.serving.trials import Trials

    trials = Trials(_controller())
    rollout = trials.start(load_settings().model_name, version, role, share_percent, order)
    typer.echo(_describe(rollout))


def _controller() -> "Controller":
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.resources.triton import TritonServer
    from visionops_assets.stages.serving.controller import Controller

    return Controller.of(Catalog(), ObjectStore(), TritonServer())


def _order(actor: str, reason: str) -> "Order":
    import getpass
    import socket

    from visionops_assets.stages.serving.audit import Order

    try:
        user = actor or f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        raise typer.BadParameter("This user has no name: say who you are with --as.") from None
    return Order(user, reason)


def _tell(outcome: "ReleaseOutcome") -> None:
    released = outcome.released
    if outcome.smoke_test is None:
        typer.echo(f"Version {released.model_version} is champion already: nothing changed.")
        return
    before = released.previous_version
    typer.echo(
        f"Version {released.model_version} is champion"
        + (f" in the place of {before}" if before else "")
        + f": {outcome.smoke_test.images} golden images right, "
        f"{outcome.smoke_test.median_latency_ms:.0f} ms each."
    )


def _describe(rollout: "Rollout") -> str:
    return (
        f"{rollout.role.value.capitalize()}: version {rollout.model_version} with "
        f"{rollout.share_percent:g} % of the traffic, beside champion {rollout.champion_version}, "
        f"since {_time(rollout.started_at)}."
    )


def _public(event: "ReleaseEvent") -> dict[str, object]:
    return {
        "happened_at": event.happened_at,
        "action": event.action,
        "model_name": event.model_name,
        "model_version": event.model_version,
        "actor": event.actor,
        "reason": event.reason,
        "verdict": event.verdict,
    }


def _table(events: "Sequence[ReleaseEvent]") -> "Table":
    from rich.table import Table

    table = Table("time", "action", "version", "by", "why")
    for event in events:
        table.add_row(
            _time(event.happened_at),
            event.action,
            str(event.model_version),
            printable(event.actor),
            printable(event.reason),
        )
    return table


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
