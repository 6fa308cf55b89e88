"""`visionops cameras ls | add | rm`: the streams that are cut into media."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visionops_assets.cli.keys import duration
from visionops_assets.cli.screen import AsJson, Columns, Fact, print_fact, print_rows
from visionops_assets.errors import InvalidRequestError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from visionops_assets.catalog.cameras import CameraEntry

METRICS_TIMEOUT_S = 5.0

# Metrics of the camera service, by what `cameras ls` calls them.
_LIVE = {
    "up": "visionops_camera_up",
    "frame_rate_hz": "visionops_camera_frame_rate_hz",
    "last_seen": "visionops_camera_last_seen_seconds",
    "dropped_frames": "visionops_camera_dropped_frames_total",
    "dropped_clips": "visionops_camera_dropped_clips_total",
    "reconnects": "visionops_camera_reconnects_total",
}

app = typer.Typer(help="Cameras: streams that are cut into media.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Its name, of small letters, digits, - and _.")],
    url: Annotated[
        str,
        typer.Argument(
            help="Its address: rtsp(s)://, http(s):// (HLS, MJPEG), or a video file to loop."
        ),
    ],
    mode: Annotated[Literal["clip", "still"], typer.Option(help="Cut clips or stills.")] = "clip",
    every: Annotated[
        str, typer.Option(metavar="TIME", help="Time from one cut to the next, e.g. 10s or 5m.")
    ] = "10s",
    clip: Annotated[str, typer.Option(metavar="TIME", help="Length of a clip.")] = "5s",
    motion: Annotated[
        bool, typer.Option("--motion", help="Cut only while something moves.")
    ] = False,
    min_area: Annotated[
        float,
        typer.Option(help="With --motion: smallest share of the picture that must move, 0 to 1."),
    ] = 0.01,
    label: Annotated[str | None, typer.Option(help="Label of all its media.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a camera. The camera service reads it within seconds."""
    from pydantic import ValidationError

    from visionops_assets.catalog import cameras
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.vision.capture.messages import CutRules

    try:
        rules = CutRules(
            mode=mode,
            every_s=duration(every).total_seconds(),
            clip_s=duration(clip).total_seconds(),
            motion=motion,
            min_area=min_area,
        )
        settings = cameras.CameraSettings(rules=rules, label=label)
    except ValidationError as error:
        raise InvalidRequestError("; ".join(map(_problem, error.errors()))) from None
    with Catalog().begin() as session:
        added = cameras.add(session, name, url, settings)
    print_fact(_facts(added), as_json, f"Camera {added.name}: {added.shown_address}")


@app.command("ls")
def list_cameras(
    as_json: AsJson = False,
) -> None:
    """List the cameras, with their state if the camera service runs."""
    from visionops_assets.catalog import cameras
    from visionops_assets.catalog.connection import Catalog

    with Catalog().begin() as session:
        entries = cameras.all_cameras(session)
    live = _live_figures(load_settings().camera_url) if entries else {}
    rows = [_facts(entry) | _live_state(live.get(entry.name, {})) for entry in entries]
    nothing = "There are no cameras yet. `visionops cameras add NAME URL` adds one."
    print_rows(rows, _columns(), as_json, nothing)


@app.command("rm")
def remove(
    name: Annotated[str, typer.Argument(help="See `visionops cameras ls`.")],
    as_json: AsJson = False,
) -> None:
    """Remove a camera. Its media stay."""
    from visionops_assets.catalog import cameras
    from visionops_assets.catalog.connection import Catalog

    with Catalog().begin() as session:
        cameras.remove(session, name)
    print_fact({"name": name}, as_json, f"Removed camera {name}.")


def _problem(invalid: "ErrorDetails") -> str:
    field = ".".join(map(str, invalid["loc"]))
    message = invalid["msg"].removeprefix("Value error, ")
    return f"{field}: {message}" if field else message


def _live_figures(camera_url: str) -> dict[str, dict[str, float]]:
    """Ask the camera service for its metrics; by camera and metric, empty if it does not run."""
    import httpx
    from prometheus_client.parser import text_string_to_metric_families

    try:
        answer = httpx.get(f"{camera_url}/metrics", timeout=METRICS_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError:
        return {}
    figures: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            is_count = sample.name.endswith("_total")
            value = int(sample.value) if is_count else sample.value
            figures.setdefault(sample.labels.get("camera", ""), {})[sample.name] = value
    return figures


def _facts(entry: "CameraEntry") -> dict[str, Any]:
    return {
        "name": entry.name,
        "url": entry.shown_address,
        **entry.settings.rules.model_dump(),
        "label": entry.settings.label,
    }


def _live_state(figures: dict[str, float]) -> dict[str, Any]:
    live: dict[str, Any] = {key: figures.get(metric) for key, metric in _LIVE.items()}
    seen_s = figures.get(_LIVE["last_seen"])
    live["up"] = bool(live["up"]) if figures else None
    live["last_seen"] = datetime.fromtimestamp(int(seen_s), UTC) if seen_s else None
    return live


def _columns() -> Columns:
    figures = ("frame_rate_hz", "dropped_frames", "dropped_clips", "reconnects", "last_seen")
    headings = {name.replace("_hz", " (Hz)").replace("_", " "): name for name in figures}
    return {"name": "name", "url": "url", "cuts": _cuts, "state": _state, **headings}


def _state(row: Fact) -> str:
    is_up = row["up"]
    return "not running" if is_up is None else "up" if is_up else "down"


def _cuts(row: Fact) -> str:
    """Say what is cut, e.g. `clip of 5 s every 10 s of motion`."""
    length = f" of {row['clip_s']:g} s" if row["mode"] == "clip" else ""
    condition = " of motion" if row["motion"] else ""
    return f"{row['mode']}{length} every {row['every_s']:g} s{condition}"
