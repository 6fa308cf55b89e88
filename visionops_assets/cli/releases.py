"""`visionops releases ls | promote | rollback | canary | shadow | stop`: what serves, and why."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visionops_assets.cli.models import in_one_sentence
from visionops_assets.cli.screen import AsJson, moment, print_fact, print_rows
from visionops_assets.contracts import Role
from visionops_assets.models import find_model

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import ReleaseEvent
    from visionops_assets.contracts import Rollout
    from visionops_assets.releasing.audit import Order
    from visionops_assets.releasing.controller import Controller
    from visionops_assets.releasing.release import ReleaseOutcome

app = typer.Typer(help="Releases: which version serves, since when, and why.", no_args_is_help=True)


def _reason(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("Say why: the reason goes into the audit.")
    return text.strip()


Version = Annotated[
    int, typer.Argument(min=1, metavar="VERSION", help="See `visionops releases ls`, or MLflow.")
]
Reason = Annotated[str, typer.Option(callback=_reason, help="Your reason, for the audit.")]
Actor = Annotated[
    str,
    typer.Option(
        "--as", metavar="NAME", show_default="user@host", help="Your name, for the audit."
    ),
]
Named = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Model.", show_default="the default one"),
]
Share = Annotated[
    float,
    typer.Option(min=0.01, max=100, metavar="PERCENT", help="Share of the traffic that it gets."),
]


_COLUMNS = {
    "time": "happened_at",
    "action": "action",
    "version": "model_version",
    "by": "actor",
    "why": "reason",
}


@app.command()
def ls(
    limit: Annotated[int, typer.Option(min=1, help="Number of lines of the audit.")] = 20,
    model: Named = None,
    as_json: AsJson = False,
) -> None:
    """Show the champion, the canary or shadow, and the audit: newest first. JSON has the audit."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.releases import champion, newest_events
    from visionops_assets.catalog.rollouts import active_rollout

    model_name = _name(model)
    with Catalog().begin() as session:
        current = champion(session, model_name)
        rollout = active_rollout(session, model_name)
        events = newest_events(session, model_name, limit)
    if not as_json and current is not None:
        since = moment(current.released_at)
        typer.echo(f"Champion: version {current.model_version}, since {since}.")
    if not as_json and rollout is not None:
        typer.echo(_describe(rollout))
    if not as_json and current is None:
        typer.echo(in_one_sentence(model_name))
    nothing = "Nothing was released, tried or refused yet."
    print_rows([_public(event) for event in events], _COLUMNS, as_json, nothing)


@app.command()
def promote(
    version: Version,
    reason: Reason,
    actor: Actor = "",
    model: Named = None,
    as_json: AsJson = False,
) -> None:
    """Make an exported version that passed the gate the champion."""
    from visionops_assets.releasing.release import Releaser

    order = _order(actor, reason)
    releaser = Releaser(_controller())
    _tell(releaser.promote(_name(model), version, order), as_json)


@app.command()
def rollback(
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="VERSION",
            show_default="the champion before",
            help="The version to serve again.",
        ),
    ] = None,
    actor: Actor = "",
    model: Named = None,
    as_json: AsJson = False,
) -> None:
    """Make a version that served before the champion again, within seconds."""
    from visionops_assets.releasing.release import Releaser

    order = _order(actor, reason)
    _tell(Releaser(_controller()).roll_back(_name(model), order, to), as_json)


@app.command()
def canary(
    version: Version,
    share: Share,
    reason: Reason,
    actor: Actor = "",
    model: Named = None,
    as_json: AsJson = False,
) -> None:
    """Try a version on a share of the traffic; a rule promotes or ends it."""
    _start(_name(model), version, Role.CANARY, share, _order(actor, reason), as_json)


@app.command()
def shadow(
    version: Version,
    share: Share,
    reason: Reason,
    actor: Actor = "",
    model: Named = None,
    as_json: AsJson = False,
) -> None:
    """Try a version unseen on a share of the traffic; a rule judges it and never promotes it."""
    _start(_name(model), version, Role.SHADOW, share, _order(actor, reason), as_json)


@app.command()
def stop(reason: Reason, actor: Actor = "", model: Named = None, as_json: AsJson = False) -> None:
    """End the canary or shadow that runs, without a judgement."""
    from visionops_assets.releasing.rollouts import Rollouts

    order = _order(actor, reason)
    rollout = Rollouts(_controller()).stop(_name(model), order)
    said = f"Ended the {rollout.role.value} of version {rollout.model_version}."
    print_fact(rollout, as_json, said)


def _name(model: str | None) -> str:
    return find_model(model).name


def _start(
    model_name: str,
    version: int,
    role: Literal[Role.CANARY, Role.SHADOW],
    share_percent: float,
    order: "Order",
    as_json: bool,
) -> None:
    from visionops_assets.releasing.rollouts import Rollouts

    rollouts = Rollouts(_controller())
    rollout = rollouts.start(model_name, version, role, share_percent, order)
    print_fact(rollout, as_json, _describe(rollout))


def _controller() -> "Controller":
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.releasing.controller import Controller
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.resources.triton import TritonServer

    return Controller.of(Catalog(), ObjectStore(), TritonServer())


def _order(actor: str, reason: str) -> "Order":
    import getpass
    import socket

    from visionops_assets.releasing.audit import Order

    try:
        user = actor or f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        raise typer.BadParameter("This user has no name: say who you are with --as.") from None
    return Order(user, reason)


def _tell(outcome: "ReleaseOutcome", as_json: bool) -> None:
    test = outcome.smoke_test
    fact = outcome.released.model_dump() | {"smoke_test": asdict(test) if test else None}
    print_fact(fact, as_json, _promoted(outcome))


def _promoted(outcome: "ReleaseOutcome") -> str:
    released, test = outcome.released, outcome.smoke_test
    if test is None:
        return f"Version {released.model_version} is champion already: nothing changed."
    before = released.previous_version
    return (
        f"Version {released.model_version} is champion"
        + (f" in place of {before}" if before else "")
        + f": {test.images} test images answered rightly, {test.median_latency_ms:.0f} ms each."
    )


def _describe(rollout: "Rollout") -> str:
    return (
        f"{rollout.role.value.capitalize()}: version {rollout.model_version} with "
        f"{rollout.share_percent:g} % of the traffic, beside champion {rollout.champion_version}, "
        f"since {moment(rollout.started_at)}."
    )


def _public(event: "ReleaseEvent") -> dict[str, Any]:
    return {
        "happened_at": event.happened_at,
        "action": event.action,
        "model_name": event.model_name,
        "model_version": event.model_version,
        "actor": event.actor,
        "reason": event.reason,
        "verdict": event.verdict,
    }
