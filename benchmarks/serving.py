"""Predictions a second over gRPC, every one of them recorded, on a stack of its own.

A camera's JPEG goes in. The limit is a bare loop of decoding and onnxruntime, with no server; the
rivals are FastAPI servers. All of it, the client too, shares this machine's cores.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks.bare_loop import BareLoop, bare_loop
from benchmarks.load import Target, latency_quantile_ms, rate_hz, triton_target
from benchmarks.measure import Figure, Question, compare, figure
from benchmarks.own_stack import own_stack
from benchmarks.photographs import photographs
from benchmarks.served_models import MODELS, BenchmarkModel
from tests.declared import model_of
from visionops_assets.catalog import keys
from visionops_assets.contracts import Scope
from visionops_assets.errors import StackError
from visionops_assets.settings import Settings
from visionops_assets.stack.ports import choose_ports

OURS, GATEWAY = "ours", "through the gateway"
LIMIT = "a bare decode and onnxruntime loop, one process per core"
TUNED = "FastAPI and onnxruntime, tuned: one worker per core, one thread each"
DEFAULT = "FastAPI and onnxruntime with their defaults"
GOALS = {
    LIMIT: {8: 0.85, 32: 0.85},
    DEFAULT: {8: 1.25, 32: 1.25},
    TUNED: {1: 0.9, 8: 1.0, 32: 1.0},
}
IN_FLIGHT = (1, 8, 32)
ROUNDS = 3
STARTING_S = 30
STEADY_LOAD = 0.7
STEADY_QUANTILE = 0.99

GATEWAY_LIMIT = "the same over gRPC, without the gateway"
GATEWAY_GOAL = 1 / 1.15


def measure(_: Settings) -> list[Figure]:
    """Measure a tiny, a light and a heavy model.

    Raises:
        StackError: a server did not start.
        VisionOpsError: h2load is not installed, or a request failed.
    """
    image = photographs()[0]
    figures = []
    for model in MODELS:
        with (
            own_stack("triton", "tansu", "gateway") as settings,
            tempfile.TemporaryDirectory(prefix="visionops-bench-") as name,
        ):
            folder = Path(name) / "model"
            model.write(folder)
            model.load(folder, settings, model_of(settings).name)
            with contest(model, folder, settings, image) as entered:
                figures += entered.rates()
                figures.append(entered.steady_latency())
                figures += entered.cpu()
    return figures


class Contest:
    """One model on all servers that are compared, which all run all the time."""

    def __init__(
        self, model: BenchmarkModel, settings: Settings, targets: dict[str, Target], loop: BareLoop
    ) -> None:
        self._model = model
        self._settings = settings
        self._targets = targets
        self._loop = loop

    def rates(self) -> list[Figure]:
        """Measure predictions per second of each in turn, by requests in flight."""
        figures = []
        for in_flight in IN_FLIGHT:
            rounds = [self._round(in_flight) for _ in range(1 + ROUNDS)][1:]
            figures += [
                figure(
                    Question(
                        f"{self._model.name}, {in_flight} in flight",
                        "predictions/s",
                        rival,
                        goals[in_flight],
                    ),
                    [(rate[OURS], rate[rival]) for rate in rounds],
                )
                for rival, goals in GOALS.items()
                if in_flight in goals
            ]
        return figures

    def _round(self, in_flight: int) -> dict[str, float]:
        """Let each of them answer for about as long; all outputs are right or it is no figure."""
        requests = max(self._model.requests // (4 if in_flight == 1 else 1), in_flight)
        rates = {
            name: rate_hz(target, requests, in_flight)
            for name, target in self._targets.items()
            if name != GATEWAY
        }
        started_s = time.perf_counter()
        done = self._loop(requests, in_flight)
        return rates | {LIMIT: done / (time.perf_counter() - started_s)}

    def steady_latency(self) -> Figure:
        """Measure the 99th percentile at 0.7 of the rate that ours reaches at most."""
        peak_hz = rate_hz(self._targets[OURS], self._model.requests, max(IN_FLIGHT))

        def quantile_ms(name: str) -> float:
            return latency_quantile_ms(
                self._targets[name], self._model.requests, STEADY_LOAD * peak_hz, STEADY_QUANTILE
            )

        return compare(
            Question(
                f"{self._model.name}, p99 latency at 0.7 of peak load", "ms", TUNED, 1.0, "less"
            ),
            ours=lambda: quantile_ms(OURS),
            limit=lambda: quantile_ms(TUNED),
            repeats=ROUNDS,
        )

    def cpu(self) -> list[Figure]:
        """Measure the CPU time of one prediction: of Triton, and with the gateway before it."""
        direct = f"{self._model.name}, CPU time of a prediction, 8 in flight"
        through = f"{self._model.name}, the same through the gateway"
        rounds = [
            (self._cpu_ms(OURS), self._loop_cpu_ms(), self._cpu_ms(GATEWAY))
            for _ in range(1 + ROUNDS)
        ][1:]
        return [
            figure(
                Question(direct, "ms", LIMIT, GOALS[LIMIT][8], "less"),
                [(ours, limit) for ours, limit, _ in rounds],
            ),
            figure(
                Question(through, "ms", GATEWAY_LIMIT, GATEWAY_GOAL, "less"),
                [(gateway, ours) for ours, _, gateway in rounds],
            ),
        ]

    def _cpu_ms(self, name: str) -> float:
        processes = list(_processes_of(self._settings.home))
        before_s = _cpu_s(processes)
        rate_hz(self._targets[name], self._model.requests, 8)
        return (_cpu_s(processes) - before_s) * 1000 / self._model.requests

    def _loop_cpu_ms(self) -> float:
        processes = psutil.Process().children(recursive=True)
        before_s = _cpu_s(processes)
        self._loop(self._model.requests, 8)
        return (_cpu_s(processes) - before_s) * 1000 / self._model.requests


@contextmanager
def contest(
    model: BenchmarkModel, folder: Path, settings: Settings, image: bytes
) -> Iterator[Contest]:
    """Run the rivals and the bare loop beside ours for the length of the block."""
    plain = {"content-type": "image/jpeg"}
    targets = {
        OURS: triton_target(settings.triton_grpc_address, model_of(settings).name, image),
        GATEWAY: Target(f"{settings.gateway_url}/v1/predict", image, plain | _key_header(settings)),
    }
    with ExitStack() as running:
        for name, kind in ((DEFAULT, "default"), (TUNED, "tuned")):
            url = running.enter_context(_rival(folder, kind))
            targets[name] = Target(f"{url}/predict", image, plain)
        loop = running.enter_context(bare_loop(folder, image))
        yield Contest(model, settings, targets, loop)


@contextmanager
def _rival(folder: Path, kind: str) -> Iterator[str]:
    port = choose_ports({})["camera"]
    command = [sys.executable, "-m", "benchmarks.rival", str(folder), str(port), kind]
    with subprocess.Popen(command) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(STARTING_S * 10):
                with suppress(httpx.TransportError):
                    httpx.get(f"{url}/docs", trust_env=False)
                    break
                time.sleep(0.1)
            else:
                raise StackError(f"The rival {kind!r} did not start.")
            yield url
        finally:
            process.terminate()


def _key_header(settings: Settings) -> dict[str, str]:
    engine = create_engine(settings.postgres_url.get_secret_value())
    with Session(engine) as session, session.begin():
        key = keys.replace(session, "benchmark", [Scope.PREDICT])
    engine.dispose()
    return keys.bearer_header(key)


def _processes_of(home: Path) -> Iterator[psutil.Process]:
    """Yield Triton, its models and the gateway of the stack in `home`."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            ours = process.environ().get("VISIONOPS_HOME") == str(home)
            if ours and ("triton" in command or "services.gateway" in command):
                yield process


def _cpu_s(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(t.user + t.system for t in times))
