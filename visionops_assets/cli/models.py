"""`visionops models`: what is declared, its versions, the gate's verdicts, what to do next."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visionops_assets.cli.models_new import new
from visionops_assets.cli.root import CHECK_SAYS_NO
from visionops_assets.cli.screen import (
    AsJson,
    Columns,
    Fact,
    cell,
    print_fact,
    print_fields,
    print_rows,
)
from visionops_assets.errors import NotFoundError, SettingsError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.catalog.next_steps import ModelStanding, VersionStanding

app = typer.Typer(
    help="Models: their declarations, versions, verdicts and next steps.", no_args_is_help=True
)
app.command("new")(new)

Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Name of the model.", show_default="the default one"),
]


def _accuracy(fact: Fact) -> str:
    return f"{fact['accuracy']:.4f} ({fact['accuracy_low']:.4f}..{fact['accuracy_high']:.4f})"


_COLUMNS: Columns = {
    "version": "version",
    "part": "part",
    "verdict": "verdict",
    "accuracy (95 %)": _accuracy,
    "trivial": "trivial_accuracy",
    "groups": "holdout_groups",
    "against": "compared_with_champion",
    "snapshot": "snapshot_id",
    "decided": "decided_at",
    "next step": "next_step",
}


_MODELS: Columns = {
    "model": "model",
    "task": "task",
    "default": "default",
    "serves": "champion_version",
    "versions": "versions",
    "in one sentence": "said",
}


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the declared models, the default one first."""
    from visionops_assets.catalog.next_steps import in_one_sentence as said_of
    from visionops_assets.models import default_model, load_models

    facts = []
    for model in load_models():
        standing = standing_of(model.name)
        facts.append(
            {
                "model": model.name,
                "task": model.task,
                "description": model.description,
                "default": model is default_model(),
                "champion_version": standing.champion_version,
                "versions": len(standing.versions),
                "said": said_of(standing),
            }
        )
    print_rows(facts, _MODELS, as_json, "No model is declared.")


@app.command()
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of declared models.", show_default="that of VISIONOPS_MODELS"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say of each declared model whether it can be used; exit 1 if one cannot."""
    from visionops_assets.models import declaration_files, read_model, read_models

    folder = folder or load_settings().models
    problems = []
    for path in declaration_files(folder):
        try:
            model = read_model(path)
        except SettingsError as error:
            problems.append(str(error))
        else:
            fact = {"file": str(path), "model": model.name, "task": model.task, "usable": True}
            print_fact(fact, as_json, f"{path}: {model.name}, {model.task}: it can be used.")
    if not problems:
        read_models(folder)
    for problem in problems:
        print_fact({"usable": False, "problem": problem}, as_json, problem)
    if problems:
        raise typer.Exit(CHECK_SAYS_NO)


@app.command()
def versions(name: Name = None, as_json: AsJson = False) -> None:
    """List the judged versions of a model, newest first."""
    from visionops_assets.catalog.next_steps import (
        what_is_awaited,
        what_is_left_out,
        why_nothing_serves,
    )

    standing = standing_of(name)
    facts = [_fact(version, standing) for version in standing.versions]
    print_rows(facts, _COLUMNS, as_json, why_nothing_serves(standing))
    if facts and standing.waiting_snapshot_id and not as_json:
        typer.echo(what_is_awaited(standing))
    if (left_out := what_is_left_out(standing)) and not as_json:
        typer.echo(f"Left out of the newest snapshot: {left_out}")


@app.command()
def show(
    name: Name = None,
    version: Annotated[
        int | None,
        typer.Option(min=1, metavar="V", help="Number of the version.", show_default="the newest"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one version: its data, its accuracy, the gate's verdict, and what to do next."""
    from visionops_assets.catalog.next_steps import why_nothing_serves

    standing = standing_of(name)
    if version is None and not standing.versions:
        nothing = {"model": standing.model_name, "next_step": why_nothing_serves(standing)}
        print_fields(nothing, as_json)
        return
    found = standing.find(version) if version is not None else standing.versions[0]
    if found is None:
        known = cell([other.version for other in standing.versions])
        raise NotFoundError(
            f"The gate has judged no version {version} of {standing.model_name}. "
            f"Judged versions: {known}."
        )
    fact = _fact(found, standing)
    print_fields(fact if as_json else _readable(fact), as_json)


def in_one_sentence(name: str | None = None) -> str:
    """Say what serves of a model, by default of the default one, or what it waits for."""
    from visionops_assets.catalog import next_steps

    return next_steps.in_one_sentence(standing_of(name))


def standing_of(name: str | None) -> "ModelStanding":
    """Read the standing of a model, by default of the default one.

    Raises:
        NotFoundError: no model of this name is declared.
    """
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.standing import model_standing
    from visionops_assets.models import find_model

    model = find_model(name)
    with Catalog().begin() as session:
        return model_standing(session, model)


def _fact(found: "VersionStanding", standing: "ModelStanding") -> dict[str, Any]:
    from visionops_assets.catalog.next_steps import next_step, what_is_left_out

    verdict = found.verdict
    return {
        "model": verdict.model_name,
        "version": found.version,
        "part": found.part.value,
        "verdict": verdict.state.value,
        "reason": verdict.reason,
        "next_step": next_step(found, standing),
        "accuracy": verdict.accuracy,
        "accuracy_low": verdict.accuracy_low,
        "accuracy_high": verdict.accuracy_high,
        "trivial_accuracy": verdict.trivial_accuracy,
        "compared_with_champion": verdict.champion_version,
        "champion_accuracy": verdict.champion_accuracy,
        "groups_needed": verdict.groups_needed,
        "judged_on_frames": verdict.holdout_size,
        "holdout_groups": verdict.holdout_groups,
        "snapshot_id": verdict.snapshot_id,
        "train_frames": found.train_frames,
        "holdout_frames": found.holdout_frames,
        "classes": found.classes,
        "left_out": what_is_left_out(standing) if found is standing.versions[0] else None,
        "decided_at": found.decided_at,
        "dagster_run_id": found.dagster_run_id,
    }


def _readable(fact: Fact) -> dict[str, Any]:
    """Put the interval into one field, and leave out unknown fields."""
    shown = dict(fact) | {"accuracy": f"{_accuracy(fact)}, with 95 % confidence"}
    hidden = {name for name, value in shown.items() if value is None}
    hidden |= {"accuracy_low", "accuracy_high"}
    return {name: value for name, value in shown.items() if name not in hidden}
