"""`python -m tests.releases`: promotions and rollbacks under constant load, and what it noticed.

Two Triton servers are asked over gRPC and one over HTTP, without a pause, while the champion is
switched again and again. The figures go to `build/releases.json`.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import onnxruntime as ort

from tests.declared import model_of
from tests.integration.released_models import (
    CARD,
    IMAGE,
    IMAGES,
    ORDER,
    Ask,
    Load,
    Probabilities,
    Serving,
    over_grpc,
    steady_load,
)
from tests.integration.second_triton import SecondTriton, two_servers
from tests.stacks import key_header, running_stack
from visionops_assets.contracts import Scope
from visionops_assets.releasing.exports import export_prefix
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import to_network_input

VERSIONS = 6
FIGURES = Path("build/releases.json")


def expected_probabilities(serving: Serving, version: int) -> Probabilities:
    """What a version answers for `IMAGE`, by its exported file itself."""
    model = serving.store.get(f"{export_prefix(serving.model, version)}model.onnx")
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {"images": to_network_input(IMAGES[:1], CARD)}
    return tuple(np.asarray(session.run(["probabilities"], inputs)[0])[0].tolist())


@contextmanager
def over_http(settings: Settings) -> Iterator[Ask]:
    """Ask the gateway, with a key of its own."""
    headers = {"content-type": "image/png"} | key_header(Scope.PREDICT)
    with httpx.Client(base_url=settings.gateway_url, headers=headers, timeout=30) as client:

        def ask() -> tuple[int, Sequence[float]]:
            answer = client.post("/v1/predict", content=IMAGE).raise_for_status().json()
            return answer["model_version"], tuple(answer["probabilities"].values())

        yield ask


@contextmanager
def all_doors(serving: Serving, second: SecondTriton) -> Iterator[list[Ask]]:
    """Both servers over gRPC, and the gateway."""
    with over_http(serving.settings) as http:
        yield [
            over_grpc(serving),
            over_grpc(serving, TritonServer(address=second.address)),
            http,
        ]


def switch_under_load(
    serving: Serving,
    doors: list[Ask],
    switches: int,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Load, list[float], list[float]]:
    """Switch the champion, every third time by a rollback.

    Return what the load saw, and how long promotions and rollbacks took, in seconds. The model
    must have been released once.
    """
    for version in range(1, VERSIONS + 1):
        serving.export(version)
    expected = {v: expected_probabilities(serving, v) for v in range(1, VERSIONS + 1)}
    assert len({tuple(np.round(p, 3)) for p in expected.values()}) == VERSIONS
    promotions_s: list[float] = []
    rollbacks_s: list[float] = []
    with steady_load(*doors, expected=expected) as load:
        for switch in range(switches):
            champion = serving.champion() or 0
            target = champion % VERSIONS + 1
            started_s = time.perf_counter()
            if switch % 3 == 2:
                target = (champion - 2) % VERSIONS + 1
                serving.releaser.roll_back(serving.model, ORDER, target)
                rollbacks_s.append(time.perf_counter() - started_s)
            else:
                serving.judge(target)
                serving.releaser.promote(serving.model, target, ORDER)
                promotions_s.append(time.perf_counter() - started_s)
            assert serving.served() == [target, target]
            tell(f"{switch + 1}: version {target}; {load.requests} requests")
    return load, promotions_s, rollbacks_s


def measure(switches: int) -> dict[str, float]:
    """Run a stack of its own, and switch."""
    with tempfile.TemporaryDirectory(prefix="releases-") as name:
        folder = Path(name)
        only = ("--only", "tansu,triton,gateway")
        with (
            running_stack(folder / "home", {}, *only) as settings,
            two_servers(settings, folder / "second") as second,
        ):
            serving = Serving(settings, model_of(settings).name)
            serving.release(VERSIONS)
            with all_doors(serving, second) as doors:
                load, promotions_s, rollbacks_s = switch_under_load(serving, doors, switches, _tell)
    for error in load.errors[:10]:
        sys.stderr.write(f"{error!r}\n")
    return {
        "switches": len(promotions_s) + len(rollbacks_s),
        "promotions": len(promotions_s),
        "rollbacks": len(rollbacks_s),
        "triton_servers": 2,
        "requests": load.requests,
        "failed": len(load.errors),
        "mixed": load.mixed,
        "p50_ms": round(float(np.quantile(load.latencies_ms, 0.5)), 2),
        "p99_ms": round(float(np.quantile(load.latencies_ms, 0.99)), 2),
        "slowest_ms": round(max(load.latencies_ms), 2),
        "median_promotion_s": round(statistics.median(promotions_s), 3),
        "median_rollback_s": round(statistics.median(rollbacks_s), 3),
    }


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, write the figures, and fail if a request did or was mixed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--promotions", type=int, default=100, help="With the rollbacks.")
    arguments = parser.parse_args()
    figures = measure(arguments.promotions)
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    sys.exit(1 if figures["failed"] or figures["mixed"] else 0)


if __name__ == "__main__":
    main()
