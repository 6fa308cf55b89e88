"""Which engines are built, and what becomes of the Jobs that build them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from tests.declared import declaration
from tests.defined import asset_of, sensor_of, step_of
from tests.engine_records import KEY, message_of, record_of_plan
from tests.kubernetes_api import Cluster, kubernetes_api
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.engines import EngineState
from visionops_assets.catalog.schema import EngineRow
from visionops_assets.errors import SettingsError
from visionops_assets.resources.kubernetes_jobs import JobProgress, JobState, KubernetesJobs
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages.serving import (
    built_engines,
    engine_builds,
    engine_requests,
)
from visionops_assets.stages.serving.engine_builds import (
    build_all,
    is_missing,
    job_of,
    missing,
    recipe_of,
    result_of,
)
from visionops_assets.stages.serving.engine_requests import build_engines_of

MODEL = declaration()
SETTINGS = Settings(engine_gpus="NVIDIA-L4, NVIDIA-A10G,NVIDIA-L4", k8s_trainer_image="trainer:1")
GOOD = message_of(record_of_plan(b"plan", b"onnx"))


def row(gpu: str = "NVIDIA-L4", **changes: Any) -> EngineRow:
    known = {
        "model_name": "classifier",
        "model_version": 3,
        "gpu": gpu,
        "recipe": "trainer:1 fp16",
        "state": "ready",
        "reason": "",
        "key": KEY,
        "plan_sha256": "0" * 64,
        "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return EngineRow(**(known | changes))


class FakeCatalog(Catalog):
    """A catalog whose sessions are nothing."""

    @contextmanager
    def begin(self) -> Iterator[Any]:
        yield None


class Known:
    """What the catalog knows of engines, and what is noted there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: dict[str, EngineRow] = {}
        self.champion: int | None = 3
        self.rollout: int | None = None
        for module in (built_engines, engine_requests):
            monkeypatch.setattr(module, "engines_of", lambda *_: list(self.rows.values()))
            monkeypatch.setattr(module, "champion", lambda *_: self._version(self.champion))
        monkeypatch.setattr(
            engine_requests, "active_rollout", lambda *_: self._version(self.rollout)
        )
        monkeypatch.setattr(built_engines, "note_engine", self._note)

    def _version(self, number: int | None) -> SimpleNamespace | None:
        return None if number is None else SimpleNamespace(model_version=number)

    def _note(self, _session: object, **values: Any) -> None:
        values["state"] = values["state"].value
        self.rows[values["gpu"]] = row(**values)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    return Known(monkeypatch)


@pytest.fixture
def api() -> Iterator[tuple[Cluster, KubernetesJobs]]:
    with kubernetes_api() as served:
        yield served


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VISIONOPS_ENGINE_GPUS", "NVIDIA-L4,NVIDIA-A10G")
    monkeypatch.setenv("VISIONOPS_K8S_TRAINER_IMAGE", "trainer:1")
    monkeypatch.setattr(engine_builds, "POLL_S", 0.01)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("found", "automatic", "again"),
    [
        (None, True, True),
        (row(), False, False),
        (row(state="serving"), False, False),
        (row(recipe="trainer:2 fp16"), True, True),
        (row(recipe="trainer:1 int8", state="refused"), True, True),
        (row(state="failed"), True, True),
        # Those would fail again; a person may know better.
        (row(state="unusable"), False, True),
        (row(state="refused"), False, True),
    ],
)
def test_what_is_built(found: EngineRow | None, automatic: bool, again: bool) -> None:
    assert is_missing(found, "trainer:1 fp16") is automatic
    assert is_missing(found, "trainer:1 fp16", again=True) is again


def test_each_kind_of_gpu_has_a_job_and_each_result_another() -> None:
    assert SETTINGS.gpu_kinds == ("NVIDIA-L4", "NVIDIA-A10G")
    failed = row(state="failed")
    wanted = missing(SETTINGS, MODEL, {"NVIDIA-L4": failed})
    assert wanted == {"NVIDIA-L4": failed.updated_at.isoformat(), "NVIDIA-A10G": ""}
    jobs = [job_of(SETTINGS, MODEL, 3, gpu, after) for gpu, after in wanted.items()]
    jobs.append(job_of(SETTINGS, MODEL, 3, "NVIDIA-L4", ""))
    assert len({job["metadata"]["name"] for job in jobs}) == 3
    pod = jobs[0]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert pod["containers"][0]["image"] == "trainer:1"


def test_kinds_of_gpu_without_a_builder_are_a_mistake() -> None:
    with pytest.raises(SettingsError, match="VISIONOPS_K8S_TRAINER_IMAGE"):
        recipe_of(Settings(engine_gpus="NVIDIA-L4"), MODEL)


def test_the_records_of_a_builder_are_its_result() -> None:
    ended = JobProgress(JobState.SUCCEEDED, "It succeeded.", GOOD)
    built = result_of(ended)
    assert (built.state, built.reason) == (EngineState.READY, "")
    assert built.record is not None
    assert built.record.key == KEY
    poor = message_of(record_of_plan(b"plan", b"onnx", accuracy=0.9))
    differs = result_of(JobProgress(JobState.FAILED, "It failed: exit code 3", poor))
    assert differs.state is EngineState.UNUSABLE
    assert "accuracy drop 0.1000 > 0.01" in differs.reason


@pytest.mark.parametrize("message", ["", "PyTorch sees no CUDA GPU here", "[]", "[{}]"])
def test_a_builder_without_records_failed_and_its_last_words_are_kept(message: str) -> None:
    result = result_of(JobProgress(JobState.FAILED, "It failed: backoff", message))
    assert (result.state, result.record) == (EngineState.FAILED, None)
    assert result.reason == f"It failed: backoff {message}".strip()


def test_of_a_long_message_the_end_is_kept() -> None:
    """Python tells the error last. A reason of the catalog is a line of a list, not a log."""
    result = result_of(JobProgress(JobState.FAILED, "It failed.", "x" * 4_000 + "The error."))
    assert result.reason.endswith("The error.")
    assert len(result.reason) == len("It failed. ") + 500


def test_no_gpu_is_a_sentence_and_costs_nothing(known: Known) -> None:
    resources = {"catalog": FakeCatalog(), "kubernetes_jobs": KubernetesJobs()}
    result = dg.materialize([asset_of("engine")], resources=resources)
    (made,) = result.asset_materializations_for_node(step_of("engine"))
    assert "No kind of GPU is declared" in str(made.metadata["outcome"].value)
    assert known.rows == {}


def test_it_waits_for_a_first_release(known: Known, two_gpus: None) -> None:
    known.champion = None
    resources = {"catalog": FakeCatalog(), "kubernetes_jobs": KubernetesJobs()}
    (made,) = dg.materialize(
        [asset_of("engine")], resources=resources
    ).asset_materializations_for_node(step_of("engine"))
    assert "was released yet" in str(made.metadata["outcome"].value)


def materialized(jobs: KubernetesJobs, **config: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset_of("engine")],
        resources={"catalog": FakeCatalog(), "kubernetes_jobs": jobs},
        run_config={"ops": {step_of("engine"): {"config": config}}},
        raise_on_error=False,
    )


def test_a_job_per_kind_of_gpu_is_started_and_its_result_noted(
    known: Known, api: tuple[Cluster, KubernetesJobs], two_gpus: None
) -> None:
    cluster, jobs = api
    cluster.node = lambda job: cluster.end(job, "Complete", GOOD)
    (made,) = materialized(jobs).asset_materializations_for_node(step_of("engine"))
    assert {gpu: (r.state, r.key) for gpu, r in known.rows.items()} == {
        "NVIDIA-L4": ("ready", KEY),
        "NVIDIA-A10G": ("ready", KEY),
    }
    assert made.metadata["outcome"].value == "Built for NVIDIA-L4, NVIDIA-A10G."
    (again,) = materialized(jobs).asset_materializations_for_node(step_of("engine"))
    assert again.metadata["outcome"].value == "Nothing was missing."
    assert len(cluster.jobs) == 2


def test_one_kind_that_fails_keeps_nothing_from_the_others_and_says_why(
    known: Known, api: tuple[Cluster, KubernetesJobs], two_gpus: None
) -> None:
    cluster, jobs = api

    def node(job: dict[str, Any]) -> None:
        if "NVIDIA-L4" in job["spec"]["template"]["spec"]["nodeSelector"].values():
            cluster.end(job, "Complete", GOOD)
        else:
            cluster.end(job, "Failed", "", "Job was active longer than specified deadline")

    cluster.node = node
    result = materialized(jobs)
    assert not result.success
    failure = result.failure_data_for_node(step_of("engine"))
    assert failure is not None
    assert "no engine for NVIDIA-A10G, and ONNX serves there" in str(failure.error)
    assert "longer than specified deadline" in str(failure.error)
    assert {gpu: r.state for gpu, r in known.rows.items()} == {
        "NVIDIA-L4": "ready",
        "NVIDIA-A10G": "failed",
    }
    # The next attempt is another Job, of the one that failed alone.
    cluster.node = lambda job: cluster.end(job, "Complete", GOOD)
    assert materialized(jobs).success
    assert len(cluster.jobs) == 3


def test_a_run_that_died_finds_its_jobs_again(
    known: Known, api: tuple[Cluster, KubernetesJobs], two_gpus: None
) -> None:
    cluster, jobs = api
    cluster.node = lambda job: cluster.end(job, "Complete", GOOD)
    # Its result is never noted.
    next(build_all(jobs, _jobs_of(known), lambda _said: None))
    assert known.rows == {}
    assert len(cluster.jobs) == 2
    assert materialized(jobs).success
    assert len(cluster.jobs) == 2
    assert len(known.rows) == 2


def _jobs_of(known: Known) -> dict[str, dict[str, Any]]:
    settings = load_settings()
    wanted = missing(settings, MODEL, known.rows)
    return {gpu: job_of(settings, MODEL, 3, gpu, after) for gpu, after in wanted.items()}


def test_progress_is_said_when_it_changes_and_kubernetes_may_be_away_meanwhile(
    api: tuple[Cluster, KubernetesJobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, jobs = api
    job = job_of(SETTINGS, MODEL, 3, "NVIDIA-L4", "")
    said: list[str] = []
    turns: list[Any] = [
        lambda: None,
        lambda: cluster.pod(job, phase="Running"),
        lambda: setattr(cluster, "fails_with", 503),
        lambda: setattr(cluster, "fails_with", None),
        lambda: cluster.end(job, "Complete", GOOD),
    ]
    monkeypatch.setattr("time.sleep", lambda _s: turns.pop(0)())
    ((gpu, result),) = build_all(jobs, {"NVIDIA-L4": job}, said.append)
    assert (gpu, result.state) == ("NVIDIA-L4", EngineState.READY)
    assert [line.partition(": ")[2] for line in said] == [
        f"Job {job['metadata']['name']} builds its engine.",
        "Its pod is not there yet.",
        "Its pod is running on gpu-1.",
        "Kubernetes answers 503.",
        "Its pod is running on gpu-1.",
        "It succeeded.",
    ]


def tick(instance: dg.DagsterInstance) -> dg.SensorResult | str:
    context = dg.build_sensor_context(instance=instance, resources={"catalog": FakeCatalog()})
    result = sensor_of("missing_engines")(context)
    if isinstance(result, dg.SkipReason):
        return str(result.skip_message)
    assert isinstance(result, dg.SensorResult)
    return result


def test_the_sensor_asks_for_what_champion_and_candidate_lack(known: Known, two_gpus: None) -> None:
    known.rollout = 4
    with dg.instance_for_test() as instance:
        asked = tick(instance)
        assert isinstance(asked, dg.SensorResult)
        requests = asked.run_requests or []
        versions = [
            request.run_config["ops"][step_of("engine")]["config"]["model_version"]
            for request in requests
        ]
        assert versions == [3, 4]
        assert len({request.run_key for request in requests}) == 2
        known.rows = {gpu: row(gpu) for gpu in ("NVIDIA-L4", "NVIDIA-A10G")}
        assert "No engine is missing" in str(tick(instance))


def test_the_sensor_says_why_it_asks_for_nothing(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.instance_for_test() as instance:
        assert "No kind of GPU is declared" in str(tick(instance))
        monkeypatch.setenv("VISIONOPS_ENGINE_GPUS", "NVIDIA-L4")
        load_settings.cache_clear()
        assert "VISIONOPS_K8S_TRAINER_IMAGE" in str(tick(instance))
    load_settings.cache_clear()


def test_engines_are_built_in_the_pod_of_the_run() -> None:
    """That of a step may not start Jobs."""
    assert build_engines_of(MODEL).executor_def is dg.in_process_executor
