"""Builds the page of the asset graph: a picture of it, then its assets, jobs and sensors."""

from collections.abc import Iterator

import dagster as dg

from reference_pages.graph_picture import Node, picture
from reference_pages.markdown import code, page, table
from visionops_assets.definitions import definitions

_INTRODUCTION = """\
Dagster shows the same graph at its page *Lineage* (`visionops status` prints the address), with
the newest materialization of each asset, its metadata and its checks. A dashed box is not made by
Dagster. Assets under the name of a model, here of the packaged one, are those that each declared
model has of its own."""


def build() -> str:
    """Return the page."""
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.toposorted_asset_keys]
    drawn = [
        Node(
            node.key.to_user_string(),
            node.group_name or "",
            tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
            node.is_executable,
        )
        for node in nodes
    ]
    checks = _checks()
    assets = [
        [
            code(node.key.to_user_string()),
            node.group_name or "",
            _first_sentence(node.description),
            ", ".join(code(parent.to_user_string()) for parent in sorted(node.parent_keys)),
            ", ".join(map(code, checks.get(node.key, []))),
        ]
        for node in nodes
    ]
    return page(
        "Asset graph",
        _INTRODUCTION,
        picture(drawn),
        "## Assets",
        table(["asset", "group", "meaning", "made from", "checks"], assets),
        "## Jobs",
        table(["job", "materializes", "meaning"], _jobs()),
        "## Sensors and schedules",
        table(["name", "kind", "every", "meaning"], _automation()),
    )


def _checks() -> dict[dg.AssetKey, list[str]]:
    found: dict[dg.AssetKey, list[str]] = {}
    for key in sorted(definitions.resolve_asset_graph().asset_check_keys):
        found.setdefault(key.asset_key, []).append(key.name)
    return found


def _jobs() -> Iterator[list[str]]:
    for job in definitions.resolve_all_job_defs():
        if not job.name.startswith("__"):
            keys = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            yield [code(job.name), ", ".join(map(code, keys)), _first_sentence(job.description)]


def _automation() -> Iterator[list[str]]:
    for sensor in definitions.sensors or []:
        text = _first_sentence(sensor.description)
        yield [code(sensor.name), "sensor", f"{sensor.minimum_interval_seconds or 30} s", text]
    for schedule in definitions.schedules or []:
        text = _first_sentence(schedule.description)
        yield [code(schedule.name), "schedule", code(getattr(schedule, "cron_schedule", "")), text]


def _first_sentence(text: str | None) -> str:
    sentence, dot, _ = " ".join((text or "").split()).partition(". ")
    return sentence + dot.strip()
