"""A trace as OpenLineage events: in the form of the spec, each thing once, made of what it was."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import jsonschema  # type: ignore[import-untyped]

from tests.lineage.traces import RUN, traced
from visionops_assets.lineage.openlineage import events_of
from visionops_assets.settings import Settings

FACET = {
    "type": "object",
    "required": ["_producer", "_schemaURL"],
    "properties": {
        "_producer": {"type": "string", "format": "uri"},
        "_schemaURL": {"type": "string", "pattern": r"^https://openlineage\.io/spec/facets/.+#/"},
    },
}
NAMED = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "facets": {"type": "object", "additionalProperties": FACET},
    },
}
RUN_EVENT = {
    "type": "object",
    "required": ["run", "job", "eventTime", "producer", "schemaURL"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"type": "string", "format": "uri"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {
                "runId": {"type": "string", "format": "uuid"},
                "facets": {"type": "object", "additionalProperties": FACET},
            },
        },
        "job": NAMED,
        "inputs": {"type": "array", "items": NAMED},
        "outputs": {"type": "array", "items": NAMED},
    },
}
"""What the spec demands of a RunEvent, in version 2-0-2, said anew."""


def events() -> list[dict[str, Any]]:
    return list(events_of(traced(), Settings()))


def test_every_event_has_the_form_of_the_spec() -> None:
    for each in events():
        jsonschema.validate(each, RUN_EVENT, format_checker=jsonschema.FormatChecker())
        UUID(each["run"]["runId"])


def test_each_thing_begins_and_ends_once_in_the_order_of_making() -> None:
    names = [(each["job"]["name"], each["eventType"]) for each in events()]
    jobs = ["ingest", "processed_frames", "classifier/dataset_snapshot"]
    jobs += ["classifier/trained_model", "classifier/serving"]
    assert names == [(job, kind) for job in jobs for kind in ("START", "COMPLETE")]


def test_what_one_job_wrote_is_what_the_next_one_read() -> None:
    done = [each for each in events() if each["eventType"] == "COMPLETE"]
    for before, after in pairwise(done):
        wrote = [(each["namespace"], each["name"]) for each in before["outputs"]]
        assert wrote == [(each["namespace"], each["name"]) for each in after["inputs"]]
    assert done[0]["inputs"] == []
    assert done[0]["outputs"][0]["name"] == "media/1"


def test_runs_keep_their_ids() -> None:
    by_job = {each["job"]["name"]: each["run"]["runId"] for each in events()}
    assert by_job["classifier/trained_model"] == RUN
    assert len(set(by_job.values())) == len(by_job)
    assert events() == events()
