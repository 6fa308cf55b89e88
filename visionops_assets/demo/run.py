"""The demo's steps: upload, wait for the sensors to do the rest, predict, label."""

import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rich.console import Console
from sqlalchemy import select

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.feedback import FEEDBACK
from visionops_assets.catalog.keys import own_key
from visionops_assets.catalog.releases import newest_verdict
from visionops_assets.catalog.schema import Media
from visionops_assets.catalog.sign_in import create_link
from visionops_assets.contracts import Scope
from visionops_assets.contracts.draws import is_drawn
from visionops_assets.demo.clients import SOURCE, Materialization, PublicApi
from visionops_assets.demo.drift import DriftDemo
from visionops_assets.demo.figures import Figures
from visionops_assets.demo.media import DemoFile, digits, videos
from visionops_assets.demo.screen import (
    Screen,
    places_table,
    show_link,
    summary_table,
    timeline_table,
)
from visionops_assets.demo.stages import Stages
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.models import default_model
from visionops_assets.models.naming import asset_name
from visionops_assets.resources.triton import TritonServer
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.settings import Settings, mlflow_page
from visionops_client.gateway import GatewayClient

WAITED_ASSETS = {
    "snapshot": "dataset_snapshot",
    "training": "trained_model",
    "evaluation": "model_evaluation",
    "export": "exported_model",
    "release": "model_release",
}


def run_demo(
    settings: Settings,
    console: Console,
    figures_path: Path,
    started_s: float,
    drift_path: Path | None = None,
) -> None:
    """Run the demo on a running stack, write its figures, and show what to open.

    `started_s` is the monotonic clock's reading when the user asked for the demo. With `drift_path`
    it goes on with the drift demo, whose figures go there, and its plot beside them.

    Raises:
        VisionOpsError: a step failed or took too long; the message says where to look.
    """
    key = own_key(settings, Catalog(), "demo", (Scope.INGEST, Scope.PREDICT, Scope.LABEL))
    api = PublicApi(settings.ingest_url, settings.gateway_url, settings.dagster_url, key)
    refuse_to_mix(settings)
    tables, places = [], _places(settings) | {"Figures": str(figures_path)}
    with Screen(console) as screen, closing(api):
        demo = Demo(Stages(settings, api, screen))
        demo.figures.seconds_by_stage["start"] = round(time.monotonic() - started_s, 2)
        figures = demo.run()
        figures.seconds_total = round(time.monotonic() - started_s, 2)
        figures.write(figures_path)
        tables.append(summary_table("Measured by the demo", vars(figures)))
        if drift_path is not None:
            # Nothing is sent again: the demo counts failures.
            with GatewayClient(settings.gateway_url, key, retry_for_s=0) as gateway:
                drift = DriftDemo(Stages(settings, api, screen), gateway, *digits())
                plot_path = drift_path.with_suffix(".png")
                drift_figures = drift.run(plot_path)
            drift_figures.write(drift_path)
            tables.append(timeline_table(drift_figures.timeline))
            tables.append(summary_table("Measured by the drift demo", vars(drift_figures)))
            places |= {"Drift figures": str(drift_path), "Timeline": str(plot_path)}
    for table in tables:
        console.print(table)
    with Catalog().begin() as session:
        link = create_link(session, settings.gateway_url)
    show_link(console, link)
    console.print(places_table(places))


def refuse_to_mix(settings: Settings) -> None:
    """Leave a project alone that has media of a user: one model would learn from both."""
    with Catalog().begin() as session:
        sources = set(session.scalars(select(Media.source).distinct())) - {SOURCE, FEEDBACK}
    if sources:
        raise InvalidRequestError(
            f"{settings.home} holds media of yours (of {', '.join(sorted(sources)[:3])}), and the "
            "demo would mix its digits with them. Stop the servers (`visionops down`), and run the "
            "demo in a folder of its own: `VISIONOPS_HOME=.visionops-demo make demo`."
        )


def _places(settings: Settings) -> dict[str, str]:
    groups = ("media", "data", "model", "serving", "monitoring")
    # Dagster shows its groups closed unless asked.
    unfolded = urlencode({"expanded": ",".join(f"global@global:{group}" for group in groups)})
    return {
        "Dagster: assets, lineage, runs": f"{settings.dagster_url}/asset-groups/~?{unfolded}",
        "MLflow: runs and versions": mlflow_page(settings, "/models"),
        "Ingest API": f"{settings.ingest_url}/docs",
        "Gateway API": f"{settings.gateway_url}/docs",
        "Gateway, gRPC": settings.gateway_grpc_address,
        "Triton, gRPC": settings.triton_grpc_address,
        "Pipeline metrics": f"{settings.exporter_url}/metrics",
    }


@dataclass
class DemoFigures(Figures):
    """The figures of the demo; written to `build/demo.json`."""

    media_uploaded: int = 0
    media_known_before: int = 0
    frames: int = 0
    train_images: int = 0
    holdout_accuracy: float = 0.0
    grpc_predictions: int = 0
    monitored_accuracy: float = 0.0
    model_version: int = 0


class Demo:
    """Runs the loop once. A second run finds the first one's results, and says so."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._settings = stages.settings
        self._api = stages.api
        self._screen = stages.screen
        self._triton = TritonServer()
        self.figures = DemoFigures(seconds_by_stage=stages.seconds_by_stage)
        self._held_back: list[DemoFile] = []
        self._answers: list[ServedAnswer] = []

    def run(self) -> DemoFigures:
        """Run all steps.

        Raises:
            VisionOpsError: a step failed or took too long; the message says where to look.
        """
        before = self._newest("model_release")
        uploaded, self._held_back = digits()
        self._upload([*uploaded, *videos()])
        self._wait_for_frames()
        new_files = self.figures.media_uploaded - self.figures.media_known_before
        if before is None or new_files >= default_model().snapshots.min_new_labels:
            self._wait_for_release(newer_than_s=before.timestamp_s if before else 0.0)
        else:
            self._screen.note(
                f"{new_files} new files make no new snapshot: reusing the one there is, "
                "and the served model."
            )
        self._read_model_figures()
        self._predict()
        self._tell_truth()
        return self.figures

    def _upload(self, files: list[DemoFile]) -> None:
        with self._stages.stage("upload") as done:
            answers = list(self._screen.track(self._api.upload_all(files), len(files), "upload"))
            duplicates = sum(answer["duplicate"] for answer in answers)
            self.figures.media_uploaded = len(answers)
            self.figures.media_known_before = duplicates
            done(f"{len(answers)} files, {duplicates} of them known from before")

    def _wait_for_frames(self) -> None:
        with self._stages.stage("frames") as done:

            def processed() -> dict[str, Any] | None:
                stats = self._api.stats()
                media = stats["media"]
                waiting = media["stored"] + media["queued"]
                self._screen.detail(f"{waiting} files on their way, {stats['frames']} frames")
                return None if waiting else stats

            stats = self._stages.until("frames", processed)
            self.figures.frames = stats["frames"]
            done(f"{stats['frames']} frames, {stats['media']['quarantined']} files quarantined")

    def _wait_for_release(self, newer_than_s: float) -> None:
        for stage, asset in WAITED_ASSETS.items():
            with self._stages.stage(stage) as done:
                self._screen.detail(f"the sensors bring {asset}")
                found = self._stages.until(stage, partial(self._newer, asset, newer_than_s))
                newer_than_s = found.timestamp_s
                done(_scalars(found))
            if asset == "model_evaluation":
                self._check_gate(found.metadata["model_version"])

    def _check_gate(self, version: int) -> None:
        with Catalog().begin() as session:
            verdict = newest_verdict(session, default_model().name, version)
        if verdict is not None and not verdict.passed:
            raise VisionOpsError(f"{verdict.reason} `visionops models show` says what to do.")

    def _newer(self, asset: str, than_s: float) -> Materialization | None:
        found = self._newest(asset)
        return found if found and found.timestamp_s > than_s else None

    def _newest(self, asset: str) -> Materialization | None:
        name = asset_name(default_model().name, asset)
        return self._api.materializations([name]).get(name)

    def _read_model_figures(self) -> None:
        snapshot, release = map(self._newest, ("dataset_snapshot", "model_release"))
        if snapshot is None or release is None:
            raise VisionOpsError("Dagster knows of no snapshot, or of no release.")
        self.figures.train_images = snapshot.metadata["train_frames"]
        self.figures.model_version = release.metadata["model_version"]

    def _predict(self) -> None:
        with self._stages.stage("predict") as done:
            images = [file.data for file in self._held_back]
            model = default_model()
            self._answers = self._triton.predict(model.name, images, task=model.task)
            right = sum(
                answer.label == file.label
                for answer, file in zip(self._answers, self._held_back, strict=True)
            )
            self.figures.grpc_predictions = len(self._answers)
            self.figures.holdout_accuracy = right / len(self._answers)
            by_http = self._api.predict(self._held_back[0])["label"]
            if by_http != self._answers[0].label:
                raise VisionOpsError(
                    f"The gateway says {by_http!r} where gRPC says {self._answers[0].label!r}."
                )
            done(f"{right} of {len(self._answers)} digits, never uploaded, right over gRPC")

    def _tell_truth(self) -> None:
        with self._stages.stage("monitoring") as done:
            told_s = time.time()
            pairs = zip(self._answers, self._held_back, strict=True)
            labels = [(answer.prediction_id, str(file.label)) for answer, file in pairs]
            audited = default_model().monitoring.audit_percent
            drawn = sum(is_drawn(prediction_id, audited) for prediction_id, _ in labels)
            self._screen.detail(f"telling the gateway {len(labels)} labels, {drawn} of them drawn")
            self._api.label_all(labels)
            self._screen.detail("the sensors bring model_performance")

            def measured() -> float | None:
                found = self._newer("model_performance", told_s)
                if found is None or found.metadata["labelled_predictions"] < drawn:
                    return None
                return float(found.metadata["accuracy"])

            self.figures.monitored_accuracy = self._stages.until("monitoring", measured)
            done(f"model_performance measured an accuracy of {self.figures.monitored_accuracy:.4f}")


def _scalars(found: Materialization) -> str:
    """Return one line with the materialization's most telling metadata."""
    telling = (
        "snapshot_id",
        "train_frames",
        "holdout_frames",
        "validation_accuracy",
        "holdout_accuracy",
        "verdict",
        "model_version",
        "outcome",
    )
    values = [(name, found.metadata.get(name)) for name in telling]
    return ", ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values
        if value is not None
    )
