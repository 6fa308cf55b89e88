"""Run the releaser: `python -m visionops_assets.services.releaser`. Several may run.

Whatever it does is decided by the catalog, under the lock of the model's releases, so that two of
them do nothing twice, and one that is killed leaves nothing half done.
"""

import logging
import signal
from threading import Event

from visionops_assets.catalog.connection import Catalog
from visionops_assets.client.dagster import DagsterClient
from visionops_assets.client.lineage import Lineage
from visionops_assets.models import ModelDeclaration, load_models
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.convergence import converge
from visionops_assets.releasing.decided import roll_back_as_decided
from visionops_assets.releasing.judging import RolloutRule
from visionops_assets.releasing.rollouts import Rollouts
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.logs import configure_logging
from visionops_assets.services.releaser.telling import Teller
from visionops_assets.services.releaser.turns import Duty, run_all
from visionops_assets.settings import load_settings

PAUSE_S = 5.0

_log = logging.getLogger("visionops_assets.services.releaser")


def duties_of(controller: Controller, lineage: Lineage) -> list[Duty]:
    """Return what a releaser does, for each declared model by itself."""
    return [duty for model in load_models() for duty in _duties_for(model, controller, lineage)]


def _duties_for(model: ModelDeclaration, controller: Controller, lineage: Lineage) -> list[Duty]:
    name, rule = model.name, RolloutRule.of(model.serving.rollouts)
    rollouts = Rollouts(controller)
    teller = Teller(controller.catalog, lineage, name)
    return [
        Duty(f"rollback of {name}", lambda: roll_back_as_decided(controller, name), PAUSE_S),
        Duty(f"rollout of {name}", lambda: rollouts.apply_rule(name, rule), PAUSE_S),
        Duty(f"convergence of {name}", lambda: converge(controller, name), PAUSE_S),
        Duty(f"lineage of {name}", teller.tell, PAUSE_S, may_hang=True),
    ]


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings()
    controller = Controller.of(Catalog(), ObjectStore(), TritonServer())
    lineage = Lineage(DagsterClient(settings.dagster_url))
    duties = duties_of(controller, lineage)
    _log.info("releaser started")
    run_all(duties, Heartbeat(settings, "releaser"), stop)
    _log.info("releaser stopped")


if __name__ == "__main__":
    main()
