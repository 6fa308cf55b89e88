"""The loop once through on a small set: what catalog, S3, MLflow, Triton and Dagster then hold."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from mlflow import MlflowClient
from sqlalchemy import func, select, update

from tests.declared import model_of
from tests.stacks import key_for, visionops
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import label_backlog, labelled_frames
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.catalog.releases import add_verdict, was_refused
from visionops_assets.catalog.schema import (
    AnnotationRow,
    ConsumedEvent,
    Frame,
    Media,
    MediaBatch,
    Outbox,
    PerformanceWindow,
    PredictionRow,
    Processing,
    Release,
    Snapshot,
    Verdict,
)
from visionops_assets.contracts import GateVerdict, MediaStatus, Scope
from visionops_assets.demo.clients import Materialization, PublicApi
from visionops_assets.demo.media import DemoFile, digits, videos
from visionops_assets.resources.broker import Broker, OutgoingEvent
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_reading import read_snapshot
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import decode_frame, preprocess_image
from visionops_assets.vision.shards import unpack

DIGITS = 300
HELD_BACK = 60
LOOP_TIMEOUT_S = 450
EIGHT_ASSETS = [
    "raw_media",
    "processed_frames",
    "classifier/labels",
    "classifier/dataset_snapshot",
    "classifier/trained_model",
    "classifier/model_evaluation",
    "classifier/exported_model",
    "classifier/model_release",
]


@dataclass
class Loop:
    """What was sent in, and the answers."""

    files: list[DemoFile]
    answers: list[dict[str, Any]]
    truncated: dict[str, Any]
    video: dict[str, Any]
    held_back: list[DemoFile]


@pytest.fixture(scope="module")
def loop(stack: Settings, api: PublicApi) -> Loop:
    """Upload digits, a truncated one and a video, and wait until a model is served."""
    uploaded, held_back = digits()
    files = uploaded[:DIGITS]
    answers = list(api.upload_all(files))
    whole = uploaded[DIGITS]
    truncated = replace(whole, data=whole.data[: len(whole.data) // 2], label=None)
    odd = list(api.upload_all([truncated, *videos()]))

    def released() -> Release | None:
        with Catalog().begin() as session:
            return session.scalar(select(Release).where(Release.model_name == model_of(stack).name))

    eventually("release", released, LOOP_TIMEOUT_S)
    return Loop(files, answers, odd[0], odd[1], held_back[:HELD_BACK])


def test_every_acknowledged_file_is_processed_once(loop: Loop, stack: Settings) -> None:
    with Catalog().begin() as session:
        media = {str(row.media_id): row for row in session.scalars(select(Media))}
        events = session.scalars(select(ConsumedEvent.media_id)).all()
        unsent = session.scalar(
            select(func.count()).select_from(Outbox).where(Outbox.published_at.is_(None))
        )
        unfinished = session.scalars(
            select(MediaBatch.batch_key).where(MediaBatch.processed_at.is_(None))
        ).all()
    for file, answer in zip(loop.files, loop.answers, strict=True):
        row = media[answer["media_id"]]
        assert not answer["duplicate"]
        assert row.status is MediaStatus.PROCESSED
        assert row.sha256 == answer["sha256"]
        assert ObjectStore().get(row.object_key) == file.data
    assert len(events) == len(set(events)) == DIGITS + 2
    assert unsent == 0
    assert unfinished == []


def test_truncated_file_is_quarantined_with_its_reason(loop: Loop, api: PublicApi) -> None:
    status = api.media(loop.truncated["media_id"])
    assert status["status"] == "quarantined"
    assert status["reason"]["code"] == "corrupt"
    assert status["frames"] == []


def test_frames_are_what_the_shared_preprocessing_makes(loop: Loop, stack: Settings) -> None:
    spec = model_of(stack).frames
    with Catalog().begin() as session:
        frames = {str(row.media_id): row for row in session.scalars(select(Frame))}
    for file, answer in list(zip(loop.files, loop.answers, strict=True))[::50]:
        frame = frames[answer["media_id"]]
        shard = ObjectStore().get(frame.shard_key)
        png = unpack(shard)[f"{frame.frame_id}.png"]
        assert shard[frame.shard_offset : frame.shard_offset + frame.frame_bytes] == png
        expected = preprocess_image(file.data, spec, max_pixels=stack.max_image_pixels)
        np.testing.assert_array_equal(decode_frame(png), expected)


def test_a_thumbnail_is_the_first_frame(loop: Loop, stack: Settings, api: PublicApi) -> None:
    address = f"{stack.ingest_url}/v1/media/{loop.video['media_id']}"
    headers = bearer_header(key_for(Scope.ADMIN))
    answer = httpx.get(f"{address}/thumbnail", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert decode_frame(answer.content).shape == (model_of(stack).frames.size_px,) * 2 + (3,)
    [processing] = api.media(loop.video["media_id"])["processing"]
    assert processing["parameters"] == model_of(stack).frames.model_dump(mode="json")
    assert processing["decoder"].startswith("av ")
    truncated = f"{stack.ingest_url}/v1/media/{loop.truncated['media_id']}/thumbnail"
    assert httpx.get(truncated, headers=headers).json()["code"] == "not_found"
    assert httpx.get(truncated).status_code == 401


def test_video_is_sampled_by_time(loop: Loop, api: PublicApi, stack: Settings) -> None:
    status = api.media(loop.video["media_id"])
    times_s = [frame["time_s"] for frame in status["frames"]]
    assert status["kind"] == "video"
    assert len(times_s) >= 2
    assert times_s == sorted(times_s)
    assert np.diff(times_s).min() >= model_of(stack).frames.video_sample_interval_s * 0.9


def test_snapshot_holds_every_labelled_frame_split_by_group(loop: Loop) -> None:
    with Catalog().begin() as session:
        snapshot = session.scalars(select(Snapshot)).one()
        labelled = session.scalar(
            select(func.count())
            .select_from(AnnotationRow)
            .where(AnnotationRow.media_id.is_not(None))
        )
    store = ObjectStore()
    files = read_snapshot(store, snapshot.snapshot_id, FramePlaces(Catalog()))
    members = files.members
    assert labelled == DIGITS == len(members)
    assert files.images[:].shape == (DIGITS, 32, 32, 3)
    # Pixels are never copied.
    names = ["SHA256SUMS", "members.parquet"]
    assert store.list_keys(snapshot.object_prefix) == [
        f"{snapshot.object_prefix}/{name}" for name in names
    ]
    assert snapshot.classes == [str(digit) for digit in range(10)]
    assert members.groupby("group_id")["split"].nunique().eq(1).all()
    assert dict(members["split"].value_counts()) == {
        "train": snapshot.train_frames,
        "holdout": snapshot.holdout_frames,
    }
    truth = {a["media_id"]: f.label for f, a in zip(loop.files, loop.answers, strict=True)}
    assert all(truth[m] == label for m, label in zip(members.media_id, members.label, strict=True))


def test_mlflow_holds_the_version_with_its_origin(loop: Loop, stack: Settings) -> None:
    client = MlflowClient(stack.mlflow_tracking_uri)
    version = client.get_model_version_by_alias(model_of(stack).name, "champion")
    with Catalog().begin() as session:
        release = session.scalars(
            select(Release).where(Release.model_name == model_of(stack).name)
        ).one()
        verdict = session.scalars(
            select(Verdict).where(Verdict.model_name == model_of(stack).name)
        ).one()
    assert int(version.version) == release.model_version == verdict.model_version
    assert version.tags["snapshot_id"] == release.snapshot_id
    assert version.tags["gate"] == "passed"
    run = client.get_run(str(version.run_id))
    assert run.info.status == "FINISHED"
    rounds = client.get_metric_history(run.info.run_id, "train_loss")
    at_most = int(run.data.params["steps"]) / int(run.data.params["round_steps"])
    assert 1 < len(rounds) <= at_most + 1
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id, "model")}
    assert {"model/model.safetensors", "model/model.json", "model/model.onnx"} <= artifacts


def test_triton_serves_the_champion_and_predictions_come_back(
    loop: Loop, api: PublicApi, stack: Settings
) -> None:
    triton = TritonServer()
    with Catalog().begin() as session:
        champion = session.scalars(
            select(Release).where(Release.model_name == model_of(stack).name)
        ).one()
    assert triton.served_version(model_of(stack).name) == champion.model_version
    answers = triton.predict(
        model_of(stack).name, [file.data for file in loop.held_back], task="classification"
    )
    right = [a.label == f.label for a, f in zip(answers, loop.held_back, strict=True)]
    assert np.mean(right) > 0.7  # 300 digits and 8 epochs; chance is 0.1
    assert {answer.model_version for answer in answers} == {champion.model_version}
    by_http = api.predict(loop.held_back[0])
    assert by_http["label"] == answers[0].label
    assert by_http["probability"] == pytest.approx(max(answers[0].probabilities), abs=1e-5)

    # The image of one in a hundred is kept. With its truth it would become a media file, and what
    # comes below counts them.
    told = [
        (answer, file)
        for answer, file in zip(answers, loop.held_back, strict=True)
        if answer.prediction_id.int % 1_000_000 >= 10_000
    ]
    api.label_all((answer.prediction_id, str(file.label)) for answer, file in told)

    def measured() -> PerformanceWindow | None:
        with Catalog().begin() as session:
            return session.scalar(
                select(PerformanceWindow).where(PerformanceWindow.labelled == len(told))
            )

    window = eventually("measurement of all labelled predictions", measured, LOOP_TIMEOUT_S)
    assert window.accuracy == pytest.approx(np.mean([a.label == f.label for a, f in told]))
    assert window.model_version == champion.model_version
    with Catalog().begin() as session:
        rows = {row.prediction_id: row for row in session.scalars(select(PredictionRow))}
    assert {answer.prediction_id for answer in answers} <= set(rows)
    assert UUID(by_http["prediction_id"]) in rows
    assert rows[answers[0].prediction_id].label == answers[0].label


def test_a_prediction_leads_to_the_source_and_a_file_to_the_model(
    loop: Loop, stack: Settings
) -> None:
    with Catalog().begin() as session:
        release = session.scalars(
            select(Release).where(Release.model_name == model_of(stack).name)
        ).one()
        asked = select(PredictionRow.prediction_id).order_by(PredictionRow.predicted_at).limit(1)
        prediction_id = str(session.scalars(asked).one())
    version = f"{release.model_name}:{release.model_version}"

    traced = visionops("trace", "prediction", prediction_id, "--up", "--json")
    assert (traced.returncode, traced.stderr) == (0, "")
    node, way = json.loads(traced.stdout)["up"], []
    for name in ("version", "run", "dataset", "frames", "media", "source"):
        [branch] = [each for each in node["branches"] if each["name"] == name]
        node = branch["nodes"][0]
        way.append(node)
    assert way[0]["id"] == version
    run = MlflowClient(stack.mlflow_tracking_uri).get_run(way[1]["id"])
    assert run.data.tags["snapshot_id"] == way[2]["id"] == release.snapshot_id
    media_ids = {answer["media_id"] for answer in loop.answers}
    assert way[4]["id"] in media_ids
    [events] = [each for each in way[4]["branches"] if each["name"] == "events"]
    assert events["nodes"][0]["facts"]["batch"] == way[3]["facts"]["batch"]

    address = f"{stack.gateway_url}/v1/lineage/media/{loop.answers[0]['media_id']}?direction=down"
    down = httpx.get(address, headers=bearer_header(key_for(Scope.ADMIN)), trust_env=False).json()
    [held] = [each for each in down["down"]["branches"] if each["name"] == "datasets"]
    [learned] = held["nodes"][0]["branches"]
    assert (held["nodes"][0]["id"], learned["nodes"][0]["id"]) == (release.snapshot_id, version)
    assert down["notes"] == []
    tree = visionops("trace", "media", loop.answers[0]["media_id"]).stdout
    assert version in tree


def test_the_documented_clients_run(loop: Loop, stack: Settings, tmp_path: Path) -> None:
    page = (stack.project_root / "docs" / "how-to" / "predict.md").read_text()
    # The second one, from outside a cluster, runs in test_gateway.py.
    by_grpc, _, by_http = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "street.jpg").write_bytes(loop.files[0].data)
    key = key_for(Scope.PREDICT).get_secret_value()
    by_http = f"key = {key!r}\njpeg_frames = [open('street.jpg', 'rb').read()]\n{by_http}"
    printed = []
    for code in (by_grpc, by_http):
        here = code.replace("127.0.0.1:8001", stack.triton_grpc_address)
        here = here.replace("http://127.0.0.1:8081", stack.gateway_url)
        command = [sys.executable, "-W", "ignore", "-c", here]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.split())
    (expected,) = TritonServer().predict(
        model_of(stack).name, [loop.files[0].data], record=False, task="classification"
    )
    label = expected.label
    assert printed[0] == [label, "1"]
    assert printed[1][:2] == [label, "0"]


def test_a_folder_is_predicted_from_the_shell(loop: Loop, stack: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(loop.files[0].data)
    (tmp_path / "junk.png").write_bytes(b"junk")
    done = visionops("predict", str(tmp_path), "--json")
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (2, "")
    (expected,) = TritonServer().predict(
        model_of(stack).name, [loop.files[0].data], record=False, task="classification"
    )
    assert (good["file"], good["label"]) == (str(tmp_path / "a.png"), expected.label)
    assert (bad["file"], bad["code"]) == (str(tmp_path / "junk.png"), "unsupported_media_type")


def test_dagster_shows_what_people_look_at(loop: Loop, api: PublicApi) -> None:
    def all_of_them() -> dict[str, Materialization] | None:
        found = api.materializations(EIGHT_ASSETS)
        return found if set(found) == set(EIGHT_ASSETS) else None

    # The release is in the catalog a moment before Dagster has it.
    materialized = eventually("materializations", all_of_them, 30)
    pictures = {
        "processed_frames": "montage",
        "classifier/labels": "class_counts",
        "classifier/dataset_snapshot": "sample",
        "classifier/trained_model": "training_curves",
        "classifier/model_evaluation": "confusion_matrix",
    }
    for asset, picture in pictures.items():
        assert picture in materialized[asset].metadata


def test_labels_are_judged_after_the_training(loop: Loop, api: PublicApi) -> None:
    def judged() -> Materialization | None:
        return api.materializations(["classifier/label_quality"]).get("classifier/label_quality")

    found = eventually("doubts about labels", judged, 240)
    assert {"judged_frames", "doubted_frames", "asked_for"} <= set(found.metadata)


def test_same_bytes_again_are_a_duplicate_and_start_nothing(loop: Loop, api: PublicApi) -> None:
    with Catalog().begin() as session:
        events_before = session.scalar(select(func.count()).select_from(Outbox))
    again = list(api.upload_all(loop.files[:5]))
    assert [a["media_id"] for a in again] == [a["media_id"] for a in loop.answers[:5]]
    assert all(answer["duplicate"] for answer in again)
    with Catalog().begin() as session:
        assert session.scalar(select(func.count()).select_from(Outbox)) == events_before
        labels = session.scalar(
            select(func.count())
            .select_from(AnnotationRow)
            .where(AnnotationRow.media_id.is_not(None))
        )
    assert labels == DIGITS


def test_event_delivered_twice_has_one_effect(loop: Loop, stack: Settings) -> None:
    media_id = UUID(loop.answers[0]["media_id"])
    with Catalog().begin() as session:
        event = session.scalars(select(Outbox).where(Outbox.message_key == str(media_id))).one()
        frames_before = session.scalars(select(Frame.frame_id)).all()
    with Broker().producer() as producer:
        producer.publish_all(
            [
                OutgoingEvent(
                    event.topic,
                    event.message_key,
                    json.dumps(event.payload).encode(),
                    str(event.event_id),
                )
            ]
        )

    def finished_again() -> MediaBatch | None:
        with Catalog().begin() as session:
            batch = session.scalars(
                select(MediaBatch).order_by(MediaBatch.start_offset.desc()).limit(1)
            ).one()
            repeated = batch.end_offset == DIGITS + 3 and batch.processed_at is not None
            return batch if repeated else None

    batch = eventually("batch with the repeated event", finished_again, LOOP_TIMEOUT_S)
    with Catalog().begin() as session:
        taken = session.scalars(
            select(ConsumedEvent).where(ConsumedEvent.media_id == media_id)
        ).one()
        assert taken.batch_key != batch.batch_key
        assert sorted(session.scalars(select(Frame.frame_id))) == sorted(frames_before)


def test_a_corrected_label_counts_towards_the_next_snapshot(
    loop: Loop, api: PublicApi, stack: Settings
) -> None:
    model = model_of(stack)
    with Catalog().begin() as session:
        snapshot = session.scalars(select(Snapshot)).one()
        before = label_backlog(session, model)
    assert (before.new_frames, before.watermark) == (0, snapshot.watermark)
    corrected = replace(loop.files[0], label="nine, really")
    assert next(iter(api.upload_all([corrected])))["duplicate"]
    with Catalog().begin() as session:
        after = label_backlog(session, model)
        known = {row["label"] for row in labelled_frames(session, model, snapshot.watermark)}
    assert after.new_frames == 1
    assert "nine, really" not in known


def test_a_refusal_by_the_gate_is_an_answer(loop: Loop, stack: Settings) -> None:
    verdict = GateVerdict(
        model_name="another",
        model_version=1,
        champion_version=None,
        snapshot_id="ds-refused",
        holdout_size=10,
        accuracy=0.5,
        accuracy_low=0.2,
        accuracy_high=0.8,
        champion_accuracy=None,
        passed=False,
        reason="A test.",
    )
    with Catalog().begin() as session:
        query = select(Release.snapshot_id).where(Release.model_name == model_of(stack).name)
        released = session.scalars(query).one()
        assert not was_refused(session, released)
        add_verdict(session, verdict, "test")
        assert was_refused(session, "ds-refused")


def test_frames_of_a_changed_spec_are_made_by_a_backfill(loop: Loop, stack: Settings) -> None:
    """As if three files had been processed by another spec."""
    spec_id = model_of(stack).frames.spec_id
    taken = [UUID(answer["media_id"]) for answer in (*loop.answers[:2], loop.video)]
    of_these = Processing.media_id.in_(taken)
    with Catalog().begin() as session:
        session.execute(update(Processing).where(of_these).values(spec_id="pp-before"))
    assert json.loads(visionops("frames", "rebuild", "--json").stdout)["media"] == 3

    def are_made() -> bool:
        with Catalog().begin() as session:
            made = select(func.count()).where(of_these, Processing.spec_id == spec_id)
            return session.scalar(made) == 3

    eventually("frames of three files", are_made, 120)
    again = json.loads(visionops("frames", "rebuild", "--json").stdout)
    assert (again["media"], again["url"]) == (0, None)
