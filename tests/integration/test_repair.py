"""The loop repairs itself: images change, the arbiter decides, a new model takes over.

The short form of `make drift`, which goes on to a model that is refused and one that is rolled back
(here in `test_refusal.py` and `test_decisions.py`).
"""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.declared import model_of
from tests.stacks import key_for
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.decisions import newest_decision
from visionops_assets.catalog.limits import accuracy_limit
from visionops_assets.catalog.releases import champion
from visionops_assets.contracts import Outcome, Scope
from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.drift import DriftDemo
from visionops_assets.demo.figures import DriftFigures
from visionops_assets.demo.media import digits
from visionops_assets.demo.screen import Screen
from visionops_assets.demo.stages import Stages
from visionops_assets.settings import Settings
from visionops_client.gateway import GatewayClient

DIGITS = 300
STAGE_TIMEOUT_S = 480.0


@pytest.fixture(scope="module")
def served(stack: Settings, api: PublicApi) -> Stages:
    """A stack that serves a model of some digits: that of another test, or of its own."""
    uploaded, _ = digits()
    list(api.upload_all(uploaded[:DIGITS]))
    stages = Stages(stack, api, Screen(Console(file=io.StringIO())), STAGE_TIMEOUT_S)

    def is_serving() -> bool | None:
        with Catalog().begin() as session:
            return champion(session, model_of(stack).name) is not None or None

    stages.until("a first model", is_serving)
    return stages


@pytest.mark.timeout(1_800)
def test_a_drifted_model_is_replaced(served: Stages, tmp_path: Path) -> None:
    uploaded, held_back = digits()
    key = key_for(Scope.PREDICT, Scope.LABEL)
    plot_path, figures_path = tmp_path / "drift.png", tmp_path / "drift.json"
    with GatewayClient(served.settings.gateway_url, key, retry_for_s=0) as gateway:
        demo = DriftDemo(served, gateway, uploaded[:DIGITS], held_back)
        figures = demo.run(plot_path, is_short=True)
    figures.write(figures_path)

    written = DriftFigures(**json.loads(figures_path.read_text()))
    model = model_of(served.settings).name
    with Catalog().begin() as session:
        old_limit, new_limit = (
            accuracy_limit(session, model, version, None)
            for version in (written.old_version, written.new_version)
        )
    assert written.accuracy_before > old_limit > written.accuracy_drifted
    assert written.accuracy_after > new_limit
    assert written.failed_requests == 0
    assert written.requests > written.labels_to_alarm > 0
    assert written.new_version > written.old_version
    assert next(iter(written.timeline)) == "images change"
    assert list(written.timeline)[-1] == f"version {written.new_version} released"
    assert plot_path.read_bytes().startswith(b"\x89PNG")

    with Catalog().begin() as session:
        serving = champion(session, model_of(served.settings).name)
        retrain = newest_decision(session, model_of(served.settings).name, Outcome.RETRAIN)
    assert serving is not None
    assert serving.model_version == written.new_version
    assert retrain is not None
    assert retrain.model_version == written.old_version
    assert "alarm" in retrain.reason
