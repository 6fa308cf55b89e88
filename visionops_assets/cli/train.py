"""`visionops train`: training by hand, also after a refusal."""

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from visionops_assets.cli.root import CHECK_SAYS_NO, INTERRUPTED
from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.models import find_model
from visionops_assets.models.naming import asset_of, dagster_name
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.client.dagster import DagsterClient, RunState

JOB = "train_and_release"
POLL_S = 1.0
# Progress is for people: standard output holds the result alone.
_side_console = Console(stderr=True, highlight=False)


def train(
    name: Annotated[
        str | None, typer.Argument(help="Model to train.", show_default="the default one")
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Snapshot to train on.", show_default="the newest"),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Largest number of steps.", show_default="from the data"),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            metavar="R", help="Highest learning rate of the schedule.", show_default="as declared"
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Network to train.", show_default="as declared"),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the run has ended.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Train a model on a snapshot, and promote it if it passes the gate; also after a refusal."""
    from visionops_assets.client.dagster import DagsterClient
    from visionops_assets.stages.training.sensors import SNAPSHOT_TAG

    model = find_model(name)
    config = _checked(model.name, snapshot, steps, learning_rate, network)
    run_config = {"ops": {dagster_name(model.name, "trained_model"): {"config": config}}}
    # The tag of the snapshot tells the sensor that it need not ask for a training itself.
    tags = {"visionops/started_by": "visionops train", SNAPSHOT_TAG: config["snapshot_id"]}
    with closing(DagsterClient(load_settings().dagster_url)) as dagster:
        run_id = dagster.launch(dagster_name(model.name, JOB), run_config, tags)
        fact = {
            "run_id": run_id,
            "run_url": dagster.run_url(run_id),
            "snapshot_id": config["snapshot_id"],
        }
        if not wait:
            started = "Training on {snapshot_id} has been asked for: {run_url}".format_map(fact)
            print_fact(fact, as_json, started)
            return
        _side_console.print("Training on {snapshot_id}: {run_url}".format_map(fact))
        ended = _followed(dagster, run_id)
        if ended.status != "SUCCESS":
            why = dagster.why_failed(run_id) or f"its status is {ended.status}."
            raise VisionOpsError(f"The run did not succeed: {why} See {dagster.run_url(run_id)}")
    if not _tell(fact, as_json):
        raise typer.Exit(CHECK_SAYS_NO)


def _checked(
    model_name: str,
    snapshot: str | None,
    steps: int | None,
    learning_rate: float | None,
    network: str | None,
) -> dict[str, Any]:
    """Check the whole request before anything runs; return the configuration of the asset."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.stages.requests import TrainingRequest
    from visionops_assets.stages.training.request import wanted_snapshot

    if snapshot is not None and not snapshot.strip():
        raise InvalidRequestError("--snapshot is empty: name one, or leave it out for the newest.")
    request = TrainingRequest(
        snapshot_id=snapshot, steps=steps, learning_rate=learning_rate, network=network
    )
    request.check()
    with Catalog().begin() as session:
        found = wanted_snapshot(session, model_name, snapshot).snapshot_id
    given = request.model_dump() | {"snapshot_id": found}
    return {name: value for name, value in given.items() if value is not None}


def _followed(dagster: "DagsterClient", run_id: str) -> "RunState":
    """Print each step as it begins and ends, until the run has ended."""
    told: dict[str, str] = {}
    try:
        while True:
            state = dagster.run_state(run_id)
            for step, status in state.steps.items():
                if told.get(step) != status:
                    _side_console.print(f"  {asset_of(step)}: {status.lower().replace('_', ' ')}")
            told = state.steps
            if state.has_ended:
                return state
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        typer.echo(f"The run goes on: {dagster.run_url(run_id)}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _tell(fact: dict[str, Any], as_json: bool) -> bool:
    """Say which version the run made, and the gate's verdict on it; return whether it passed."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.releases import champion, verdict_of_run

    with Catalog().begin() as session:
        verdict = verdict_of_run(session, fact["run_id"])
        if verdict is None:
            raise VisionOpsError(f"The gate has not judged this run's model: {fact['run_url']}")
        serving = champion(session, verdict.model_name)
    version = verdict.model_version
    serves = serving is not None and serving.model_version == version
    judged = {
        "model_version": version,
        "verdict": verdict.state.value,
        "reason": verdict.reason,
        "accuracy": verdict.accuracy,
        "accuracy_low": verdict.accuracy_low,
        "accuracy_high": verdict.accuracy_high,
        "serves": serves,
    }
    so = "It serves now." if serves else "It does not serve."
    next_ = f"More: visionops models show {verdict.model_name} --version {version}"
    print_fact(fact | judged, as_json, f"Version {version}: {verdict.reason} {so}", next_)
    return verdict.passed
