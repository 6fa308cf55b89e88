"""`visionops backups ls | add | restore`: the databases, in the object store."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from visionops_assets.cli.forget import forget_again
from visionops_assets.cli.screen import AsJson, Columns, Fact, print_fact, print_rows
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.settings import child_environment, load_settings

if TYPE_CHECKING:
    from visionops_assets.backup.archive import Archive
    from visionops_assets.backup.databases import Database

MlflowUrl = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_BACKEND_STORE_URI",
        help="SQLAlchemy URL of MLflow's database. Default: on Dagster's server, by its user.",
        show_default=False,
        show_envvar=True,
    ),
]


def _sizes(backup: Fact) -> str:
    """Write the databases of a backup, e.g. `catalog 2.5 MB (0004)`: size and schema revision."""
    return ", ".join(
        f"{dumped['name']} {dumped['bytes'] / 1e6:.1f} MB"
        + (f" ({dumped['schema_revision']})" if dumped["schema_revision"] else "")
        for dumped in backup["databases"]
    )


_COLUMNS: Columns = {"backup": "backup_id", "taken": "taken_at", "databases": _sizes}

app = typer.Typer(help="Backups of the databases, kept in the object store.", no_args_is_help=True)


@app.command()
def add(
    keep_days: Annotated[
        int | None,
        typer.Option(min=1, help="Then delete backups that are older."),
    ] = None,
    mlflow_url: MlflowUrl = None,
    as_json: AsJson = False,
) -> None:
    """Copy the databases of catalog, Dagster and MLflow into the bucket, below `backups/`.

    Nothing needs to stop. Objects are not copied: the versioning of the bucket keeps them.
    """
    archive = _archive()
    backup = archive.take(_databases(mlflow_url))
    too_old = timedelta(days=keep_days) if keep_days is not None else None
    deleted = archive.prune(too_old, datetime.now(UTC)) if too_old is not None else []
    lines = [f"Took backup {backup.backup_id}: {_sizes(backup.model_dump())}."]
    lines += [f"Deleted backup {backup_id}." for backup_id in deleted]
    print_fact(backup.model_dump() | {"deleted": deleted}, as_json, *lines)


@app.command("ls")
def list_backups(
    as_json: AsJson = False,
) -> None:
    """List the complete backups, oldest first."""
    rows = [backup.model_dump() for backup in _archive().complete()]
    nothing = "There is no backup. `visionops backups add` takes one."
    print_rows(rows, _COLUMNS, as_json, nothing)


@app.command()
def restore(
    backup_id: Annotated[str, typer.Argument(help="See `visionops backups ls`.")],
    only: Annotated[
        str, typer.Option(help="Only these of catalog, dagster and mlflow, separated by commas.")
    ] = "",
    mlflow_url: MlflowUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace the databases by those of a backup. First stop all that writes to them."""
    archive = _archive()
    backup = archive.get(backup_id)
    databases = _chosen(_databases(mlflow_url), only)
    names = ", ".join(database.name for database in databases)
    if not yes:
        typer.confirm(
            f"Replace {names} by what they were on {backup.taken_at}?", abort=True, err=True
        )
    archive.restore(backup, databases)
    restored = {"backup_id": backup.backup_id, "databases": [each.name for each in databases]}
    lines = [f"Restored {names} from backup {backup.backup_id}."]
    if "catalog" in restored["databases"]:
        lines += _forget_again()
    print_fact(restored, as_json, *lines)


def _forget_again() -> list[str]:
    """Forget what a catalog of before knows again; say in words what was done."""
    try:
        return forget_again()
    except VisionOpsError as error:
        return [
            f"Media that were erased since may be back: {error} Run `visionops forget --resume`."
        ]


def _archive() -> "Archive":
    from visionops_assets.backup.archive import Archive
    from visionops_assets.resources.object_store import ObjectStore

    return Archive(ObjectStore())


def _databases(mlflow_url: str | None = None) -> "list[Database]":
    """Return what is backed up, in the order of the dumps.

    Dagster comes before the catalog: a batch that is asked for twice has no effect, but one that is
    never asked for is missing. MLflow comes after it: the catalog must name no model that MLflow
    does not know.
    """
    from sqlalchemy.engine import make_url

    from visionops_assets.backup.databases import Database
    from visionops_assets.stack.postgres import mlflow_database

    settings = load_settings()
    urls = {
        "dagster": make_url(settings.dagster_postgres_url.get_secret_value()),
        "catalog": make_url(settings.postgres_url.get_secret_value()),
        "mlflow": make_url(mlflow_url) if mlflow_url else mlflow_database(settings),
    }
    environment = child_environment(settings)
    return [Database(name, url, environment) for name, url in urls.items()]


def _chosen(databases: "list[Database]", only: str) -> "list[Database]":
    names = {name.strip() for name in only.split(",") if name.strip()}
    known = {database.name for database in databases}
    if names - known:
        raise InvalidRequestError(
            f"There is no database {', '.join(sorted(names - known))}. "
            f"There are: {', '.join(sorted(known))}."
        )
    return [database for database in databases if not names or database.name in names]
