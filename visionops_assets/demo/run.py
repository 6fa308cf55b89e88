"""The demo's steps: upload, wait for the sensors to do the rest, predict, tell the truth."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import own_key
from visionops_assets.contracts import Scope
from visionops_assets.demo.clients import Materialization, PublicApi
from visionops_assets.demo.media import DemoFile, digits, videos
from visionops_assets.demo.screen import Screen, places_table, summary_table
from visionops_assets.errors import VisionOpsError
from visionops_assets.resources.triton import Answer, TritonServer
from visionops_assets.settings import Settings

STAGE_TIMEOUT_S = 300.0
POLL_S = 1.0
WAITED_ASSETS = {
    "snapshot": "dataset_snapshot",
    "training": "trained_model",
    "evaluation": "model_evaluation",
    "export": "exported_model",
    "release": "model_release",
}


def run_demo(settings: Settings, console: Console, figures_path: Path, started_s: float) -> None:
    """Run the demo on a running stack, write its figures, and show what to open.

    `started_s` is the monotonic clock's reading when the user asked for the demo.

    Raises:
        VisionOpsError: a step failed or took too long; the message says where to look.
    """
    key = own_key(settings, Catalog(), "demo", (Scope.INGEST, Scope.PREDICT, Scope.LABEL))
    api = PublicApi(settings.ingest_url, settings.gateway_url, settings.dagster_url, key)
    with Screen(console) as screen, closing(api):
        demo = Demo(settings, api, screen)
        demo.figures.seconds_by_stage["start"] = round(time.monotonic() - started_s, 2)
        figures = demo.run()
    figures.seconds_total = round(time.monotonic() - started_s, 2)
    figures.write(figures_path)
    console.print(summary_table(vars(figures)))
    console.print(
        places_table(
            {
                "Dagster: assets, lineage, runs": f"{settings.dagster_url}/asset-groups",
                "MLflow: runs and versions": f"{settings.mlflow_tracking_uri}/#/models",
                "Ingest API": f"{settings.ingest_url}/docs",
                "Gateway API": f"{settings.gateway_url}/docs",
                "Triton, gRPC": settings.triton_grpc_address,
                "Pipeline metrics": f"{settings.exporter_url}/metrics",
                "Figures": str(figures_path),
            }
        )
    )


@dataclass
class DemoFigures:
    """What the demo measured; written to `build/demo.json`."""

    media_uploaded: int = 0
    media_known_before: int = 0
    frames: int = 0
    train_images: int = 0
    holdout_accuracy: float = 0.0
    grpc_predictions: int = 0
    monitored_accuracy: float = 0.0
    model_version: int = 0
    seconds_total: float = 0.0
    seconds_by_stage: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(vars(self), indent=2) + "\n")


class Demo:
    """Runs the loop once. A second run finds what the first one made, and says so."""

    def __init__(self, settings: Settings, api: PublicApi, screen: Screen) -> None:
        self._settings = settings
        self._api = api
        self._screen = screen
        self._triton = TritonServer()
        self.figures = DemoFigures()
        self._held_back: list[DemoFile] = []
        self._answers: list[Answer] = []

    def run(self) -> DemoFigures:
        """Run all steps.

        Raises:
            VisionOpsError: a step failed or took too long; the message says where to look.
        """
        before = self._api.materializations(["model_release"]).get("model_release")
        uploaded, self._held_back = digits()
        self._upload([*uploaded, *videos()])
        self._wait_for_frames()
        new_files = self.figures.media_uploaded - self.figures.media_known_before
        if before is None or new_files >= self._settings.snapshot_min_new_labels:
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
        with self._stage("upload") as done:
            answers = list(self._screen.track(self._api.upload_all(files), len(files), "upload"))
            duplicates = sum(answer["duplicate"] for answer in answers)
            self.figures.media_uploaded = len(answers)
            self.figures.media_known_before = duplicates
            done(f"{len(answers)} files, {duplicates} of them known from before")

    def _wait_for_frames(self) -> None:
        with self._stage("frames") as done:

            def processed() -> dict[str, Any] | None:
                stats = self._api.stats()
                media = stats["media"]
                waiting = media["stored"] + media["queued"]
                self._screen.detail(f"{waiting} files on their way, {stats['frames']} frames")
                return None if waiting else stats

            stats = self._until("frames", processed)
            self.figures.frames = stats["frames"]
            done(f"{stats['frames']} frames, {stats['media']['quarantined']} files quarantined")

    def _wait_for_release(self, newer_than_s: float) -> None:
        for stage, asset in WAITED_ASSETS.items():
            with self._stage(stage) as done:
                self._screen.detail(f"the sensors bring {asset}")
                found = self._until(stage, partial(self._newer, asset, newer_than_s))
                newer_than_s = found.timestamp_s
                done(_scalars(found))

    def _newer(self, asset: str, than_s: float) -> Materialization | None:
        found = self._api.materializations([asset]).get(asset)
        return found if found and found.timestamp_s > than_s else None

    def _read_model_figures(self) -> None:
        found = self._api.materializations(["dataset_snapshot", "model_release"])
        self.figures.train_images = found["dataset_snapshot"].metadata["train_frames"]
        self.figures.model_version = found["model_release"].metadata["model_version"]

    def _predict(self) -> None:
        with self._stage("predict") as done:
            images = [file.data for file in self._held_back]
            self._answers = self._triton.predict(self._settings.model_name, images)
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
            done(f"{right} of {len(self._answers)} held-back images right, over gRPC")

    def _tell_truth(self) -> None:
        with self._stage("monitoring") as done:
            told_s = time.time()
            pairs = zip(self._answers, self._held_back, strict=True)
            labels = [(answer.prediction_id, str(file.label)) for answer, file in pairs]
            self._screen.detail(f"telling the gateway {len(labels)} labels")
            self._api.label_all(labels)
            self._screen.detail("the sensors bring model_performance")

            def measured() -> float | None:
                found = self._newer("model_performance", told_s)
                if found is None or found.metadata["labelled_predictions"] < len(labels):
                    return None
                return float(found.metadata["accuracy"])

            self.figures.monitored_accuracy = self._until("monitoring", measured)
            done(f"model_performance measured an accuracy of {self.figures.monitored_accuracy:.4f}")

    def _until(self, stage: str, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + STAGE_TIMEOUT_S
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            time.sleep(POLL_S)
        failed = self._api.failed_runs()
        where = "Failed runs: " + ", ".join(failed) if failed else "No run has failed."
        raise VisionOpsError(
            f"The stage {stage!r} did not end within {STAGE_TIMEOUT_S:.0f} s. {where} "
            f"See {self._settings.dagster_url}/runs and `visionops status`."
        )

    def _stage(self, name: str) -> "_Timed":
        return _Timed(name, self._screen, self.figures.seconds_by_stage)


@dataclass
class _Timed:
    """Times one stage, and shows it on the screen."""

    name: str
    screen: Screen
    seconds_by_stage: dict[str, float]
    _started_s: float = 0.0
    _summary: str = ""

    def __enter__(self) -> Callable[[str], None]:
        self._started_s = time.monotonic()
        self.screen.begin(self.name)
        return self._note

    def _note(self, summary: str) -> None:
        self._summary = summary

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        seconds = time.monotonic() - self._started_s
        self.screen.end(self.name, seconds, self._summary if error is None else None)
        self.seconds_by_stage[self.name] = round(seconds, 2)


def _scalars(found: Materialization) -> str:
    """One line of the materialization's most telling metadata."""
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
