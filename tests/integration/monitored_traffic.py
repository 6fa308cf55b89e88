"""What dashboards and rules need to see: traffic at the doors, windows of monitoring."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.declared import model_of
from tests.integration.gateway_process import ServedModel
from tests.stacks import key_for
from tests.vision.corpus import picture, saved
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Decision, DriftWindow, PerformanceWindow, Release
from visionops_assets.contracts import Outcome, Scope
from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.media import DemoFile, digits
from visionops_assets.settings import Settings
from visionops_client import GatewayClient

MONITORED = "monitored-by-a-test"
PNG = saved(picture(), "PNG")
PAUSE_S = 2.0


@contextmanager
def served_model(settings: Settings) -> Iterator[None]:
    """Serve some model under the gateway's name, unless the stack serves one already."""
    with Catalog().begin() as session:
        current = champion(session, model_of(settings).name)
    if current is not None:
        yield
        return
    model = ServedModel(settings, model_of(settings).name)
    model.load(1)
    yield
    model.unload()


def send_requests(api: PublicApi, gateway: GatewayClient, *, label: bool) -> None:
    """Upload a file; predict by the gateway, and say what it was."""
    list(api.upload_all(digits()[0][:1]))
    answer = gateway.predict(PNG)
    if label:
        gateway.label(answer.prediction_id, answer.label, answers_draw=True)


@contextmanager
def steady_requests(settings: Settings, api: PublicApi) -> Iterator[None]:
    """Send requests, one after another, for the length of the block.

    Only the first prediction is labelled: each new label starts a measurement.

    Raises:
        Exception: at the end of the block, whatever the first request that failed raised.
    """
    ending = threading.Event()

    def send() -> None:
        with GatewayClient(settings.gateway_url, key_for(Scope.PREDICT, Scope.LABEL)) as gateway:
            send_requests(api, gateway, label=True)
            while not ending.wait(PAUSE_S):
                send_requests(api, gateway, label=False)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            ending.set()
        sending.result()


def send_damaged_media(api: PublicApi) -> None:
    """Upload an image that passes at the door, and is quarantined when it is decoded."""
    damaged = PNG[: len(PNG) * 7 // 10]
    list(api.upload_all([DemoFile("damaged.png", "image/png", damaged, None)]))


def write_windows() -> None:
    """Note that a model was released, measured and decided about, as the job `monitor` does."""
    model = {"model_name": MONITORED, "model_version": 1}
    value = {"value": 0.9, "low": 0.8, "high": 1.0, "support": 50}
    scores = [
        {"slice": "all", "measure": "accuracy", "class": "", **value},
        {"slice": "all", "measure": "f1", "class": "a", **value},
    ]
    drift = {"kind": "embedding", "statistic": 0.01, "p_value": 0.4, "p_adjusted": 0.8}
    with Catalog().begin() as session:
        release = Release(**model, snapshot_id="none", manifest_sha256="none")
        session.add(release)
        session.flush()
        session.add_all(
            [
                PerformanceWindow(
                    **model,
                    predictions=100,
                    labelled=50,
                    correct=48,
                    accuracy=0.96,
                    accuracy_low=0.9,
                    accuracy_high=0.99,
                    estimated_accuracy=0.95,
                    estimated_low=0.9,
                    estimated_high=0.97,
                    label_lag_s=5.0,
                    scores=scores,
                ),
                DriftWindow(
                    **model,
                    predictions=100,
                    reference_frames=100,
                    results=[drift | {"drifted": False}],
                    drifted=False,
                ),
                Decision(
                    **model,
                    release_id=release.release_id,
                    outcome=Outcome.WAIT.value,
                    reason="A test.",
                    evidence={"log_evidence": 0.1, "log_limit": 8.5},
                    dagster_run_id="none",
                ),
            ]
        )
