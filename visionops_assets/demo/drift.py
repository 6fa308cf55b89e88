"""`visionops demo --drift`: the images change, and the loop repairs itself.

The demo acts by the public APIs alone, and reads the results from the catalog.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.decisions import newest_decision
from visionops_assets.catalog.limits import accuracy_limit
from visionops_assets.catalog.performance import labelled_answers
from visionops_assets.catalog.releases import champion, newest_events, newest_verdict
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.catalog.schema import Decision, Release
from visionops_assets.contracts import GateVerdict, Outcome, Rollout
from visionops_assets.demo.applications import Applications
from visionops_assets.demo.changes import World
from visionops_assets.demo.figures import DriftFigures
from visionops_assets.demo.media import DemoFile
from visionops_assets.demo.stages import Stages
from visionops_assets.errors import VisionOpsError
from visionops_assets.models import default_model
from visionops_assets.models.naming import dagster_name
from visionops_assets.vision.monitoring_plots import TimelineEvent, timeline
from visionops_client.gateway import GatewayClient, PredictedImage

ACCURACY_OVER = 100
"""Number of answers per point of the plotted accuracy."""
SETTLED_LABELS = 50
"""Labels that a new version gets before the next change."""
USELESS_RECIPE = {"steps": 1, "learning_rate": 1e-9}


class DriftDemo:
    """Runs once per home: a model that has seen the changed images answers them right."""

    def __init__(
        self,
        stages: Stages,
        gateway: GatewayClient,
        uploaded: Sequence[DemoFile],
        held_back: Sequence[DemoFile],
    ) -> None:
        self._stages = stages
        self._uploaded = uploaded
        self._model = default_model().name
        self._gateway = gateway
        self._world = World(held_back)
        self._applications = Applications(gateway, self._world.next_image)
        self._labels_of_others = 0
        self._started_s = time.monotonic()
        self.figures = DriftFigures(seconds_by_stage=stages.seconds_by_stage)

    def run(self, plot_path: Path, *, is_short: bool = False) -> DriftFigures:
        """Run all steps, and draw what happened. A short run ends when the model is repaired.

        Raises:
            VisionOpsError: a step took too long or failed; the message says where to look.
        """
        figures = self.figures
        self._labels_of_others = self._labels(self._champion())
        with self._applications.running():
            self._see_normal()
            decision = self._see_change()
            self._see_retraining(decision)
            self._see_recovery()
            if not is_short:
                self._see_refusal()
                self._see_rollback()
        figures.requests = len(self._applications.seen) + len(self._applications.failures)
        figures.failed_requests = len(self._applications.failures)
        figures.seconds_total = round(self._now_s, 2)
        plot_path.parent.mkdir(parents=True, exist_ok=True)
        series = {f"of the last {ACCURACY_OVER} answers": self._accuracy_over_time()}
        events = [TimelineEvent(at_s, what) for what, at_s in figures.timeline.items()]
        plot_path.write_bytes(timeline(events, series, limit=self._limit(figures.old_version)))
        return figures

    def _see_normal(self) -> None:
        with self._stages.stage("as usual") as done:
            release = self._champion()
            self.figures.old_version = release.model_version
            self.figures.accuracy_before = self._probe(self._world.probes)
            self._settle(release)
            self._stages.until(
                "answers", lambda: len(self._applications.seen) > ACCURACY_OVER or None
            )
            done(
                f"version {release.model_version} answers {self.figures.accuracy_before:.3f} of "
                "new images right"
            )

    def _see_change(self) -> Decision:
        with self._stages.stage("change") as done:
            release = self._champion()
            # The catalog may know fewer: a label counts there once a run has taken its prediction.
            drawn = sum(answer.drawn for answer in self._applications.seen)
            labels_before = self._labels_of_others + drawn
            self._world.is_changed = True
            self._note("images change")
            self.figures.accuracy_drifted = self._probe(self._world.changed_probes)
            limit = self._limit(release.model_version)
            if self.figures.accuracy_drifted >= limit:
                raise VisionOpsError(
                    f"Version {release.model_version} has seen such images: it gets "
                    f"{self.figures.accuracy_drifted:.3f} of them right, and the limit is "
                    f"{limit:.3f}. Run this in a new VISIONOPS_HOME."
                )
            decision = self._await_decision(Outcome.RETRAIN, release)
            self.figures.labels_to_alarm = decision.evidence["alarm_at"] - labels_before
            self._note("alarm: retrain")
            # More labels would make a dataset by themselves, and a model that is not part of the
            # demo.
            self._applications.keeps_images = False
            done(
                f"{self.figures.accuracy_drifted:.3f} of them, blurred and noisy; alarm after "
                f"{self.figures.labels_to_alarm} labels"
            )
        return decision

    def _see_retraining(self, decision: Decision) -> None:
        with self._stages.stage("retraining") as done:
            self._stages.screen.detail("a snapshot with the new labels, training, the gate")
            old = self._champion()
            rollout = self._stages.until("retraining", self._rollout)
            self.figures.new_version = rollout.model_version
            self.figures.new_labels_trained_on = decision.evidence["retraining"]["new_frames"]
            self._note(f"canary: version {rollout.model_version}")
            done(f"version {rollout.model_version} passed the gate")
        with self._stages.stage("canary") as done:
            self._stages.screen.detail(f"{rollout.share_percent:g} % of the applications")
            release = self._stages.until("canary", lambda: self._end_of_canary(old))
            if release.model_version != rollout.model_version:
                raise VisionOpsError(
                    f"The canary ended, and version {release.model_version} serves."
                )
            self._note(f"version {release.model_version} released")
            done(f"version {release.model_version} is champion")

    def _see_recovery(self) -> None:
        with self._stages.stage("recovery") as done:
            release = self._champion()
            self.figures.accuracy_after = self._probe(self._world.changed_probes)
            self._settle(release)
            done(f"{self.figures.accuracy_after:.3f} of the changed images right")

    def _see_refusal(self) -> None:
        with self._stages.stage("bad model") as done:
            self._stages.screen.detail("trained by a useless recipe")
            before = self._champion()
            step = dagster_name(self._model, "trained_model")
            recipe = {"ops": {step: {"config": USELESS_RECIPE}}}
            self._stages.api.launch(dagster_name(self._model, "train_and_release"), recipe)
            version = self.figures.new_version + 1
            verdict = self._stages.until("bad model", lambda: self._verdict(version))
            if verdict.passed or self._champion().release_id != before.release_id:
                raise VisionOpsError(f"The bad version {version} came into service.")
            self.figures.refused_version = version
            self._note(f"version {version} refused")
            done(f"version {version} was refused by the gate: {verdict.reason}")

    def _see_rollback(self) -> None:
        """Mix up labels, in the holdout too: only labels of predictions can show it."""
        with self._stages.stage("bad labels") as done:
            good = self._champion()
            self._world.is_changed = False
            self._note("images are as before")
            mixed_up = [replace(file, label=_another(file.label)) for file in self._uploaded]
            list(self._stages.api.upload_all(mixed_up))
            self._note("labels mixed up")
            self._stages.screen.detail("a snapshot, training, the gate")
            bad = self._stages.until("bad labels", lambda: self._release_after(good))
            self._note(f"version {bad.model_version} released")
            done(f"version {bad.model_version} learnt them, passed the gate and was released")
        with self._stages.stage("roll-back") as done:
            decision = self._await_decision(Outcome.ROLL_BACK, bad)
            self.figures.labels_to_rollback = decision.evidence["alarm_at"]
            release = self._stages.until("roll-back", lambda: self._release_after(bad))
            if release.model_version != good.model_version:
                raise VisionOpsError(f"Version {release.model_version} serves after a roll-back.")
            self._note(f"version {release.model_version} is back")
            done(
                f"version {release.model_version} came back by itself, after "
                f"{self.figures.labels_to_rollback} labels"
            )
        list(self._stages.api.upload_all(self._uploaded))

    def _await_decision(self, outcome: Outcome, release: Release) -> Decision:
        self._stages.screen.detail("the labels come in; waiting for the arbiter")

        def decided() -> Decision | None:
            with Catalog().begin() as session:
                found = newest_decision(session, self._model, outcome)
            return found if found and found.release_id == release.release_id else None

        return self._stages.until(outcome.value, decided)

    def _settle(self, release: Release) -> None:
        """Wait until a release has enough labels to be judged by."""
        self._stages.screen.detail(f"waiting for {SETTLED_LABELS} labels")
        self._stages.until("labels", lambda: self._labels(release) >= SETTLED_LABELS or None)

    def _probe(self, files: Sequence[DemoFile]) -> float:
        """Return the accuracy on images that nobody will label."""
        answers = self._gateway.predict_many([file.data for file in files])
        labels = [
            answer.label if isinstance(answer, PredictedImage) else None for answer in answers
        ]
        right = sum(label == file.label for label, file in zip(labels, files, strict=True))
        return round(right / len(files), 4)

    def _champion(self) -> Release:
        with Catalog().begin() as session:
            release = champion(session, self._model)
        if release is None:
            raise VisionOpsError(f"Nothing serves as {self._model}: run `visionops demo` first.")
        return release

    def _release_after(self, release: Release) -> Release | None:
        newest = self._champion()
        return newest if newest.release_id > release.release_id else None

    def _end_of_canary(self, champion_before: Release) -> Release | None:
        """Return the release that it became, None while it is tried."""
        rollout = self._rollout()
        # Read after the canary's state: a promotion ends it and releases at once.
        release = self._release_after(champion_before)
        if rollout is None and release is None:
            with Catalog().begin() as session:
                [event] = newest_events(session, self._model, limit=1)
            raise VisionOpsError(f"The canary ended without a release. {event.reason}")
        return release

    def _rollout(self) -> Rollout | None:
        with Catalog().begin() as session:
            return active_rollout(session, self._model)

    def _verdict(self, version: int) -> GateVerdict | None:
        with Catalog().begin() as session:
            return newest_verdict(session, self._model, version)

    def _limit(self, version: int) -> float:
        with Catalog().begin() as session:
            return accuracy_limit(
                session, self._model, version, default_model().monitoring.min_accuracy
            )

    @staticmethod
    def _labels(release: Release) -> int:
        with Catalog().begin() as session:
            return len(labelled_answers(session, release))

    def _note(self, what: str) -> None:
        self.figures.timeline[what] = round(self._now_s, 2)

    @property
    def _now_s(self) -> float:
        return time.monotonic() - self._started_s

    def _accuracy_over_time(self) -> list[tuple[float, float]]:
        """Return the seconds since the start, and the accuracy of the answers just before."""
        seen = self._applications.seen
        right = np.cumsum([0, *(answer.right for answer in seen)])
        ends = range(ACCURACY_OVER, len(seen) + 1, ACCURACY_OVER // 10)
        return [
            (
                seen[end - 1].at_s - self._started_s,
                float(right[end] - right[end - ACCURACY_OVER]) / ACCURACY_OVER,
            )
            for end in ends
        ]


def _another(label: str | None) -> str:
    """Return the wrong label of a digit: always the same other digit."""
    return str((int(label or 0) + 5) % 10)
