"""Two services that are declared here alone; `python -m tests.roster.toy HOME` adds them.

A process of its own, since the modules of a stack read the list of services when they are imported.
"""

import sys
from importlib import import_module
from pathlib import Path

from visionops_assets.roster import ours
from visionops_assets.roster.service import Address, Guard, Heartbeat, Key, Need, Pods, Service

TOY = Service(
    name="toy",
    says="Counts.",
    addresses=(
        Address(
            number=8099,
            setting="toy_url",
            says="The toy.",
            guard=Guard.OWN_PAGES,
            reason="A toy.",
            is_public=True,
        ),
    ),
    needs=(Need.STORE, Need.CATALOG),
    keys=(Key(setting="alerts_key", secret="toys"),),
    measured_route="/v1/toys",
    pods=Pods(most=3, cpu="10m", memory="64Mi", memory_limit="128Mi"),
)
TICKING = Service(
    name="ticking",
    says="Calls the toy.",
    heartbeat=Heartbeat(beside="toy_url", silence_min=7),
    needs=(Need.QUEUE, TOY.name),
    pods=Pods(replicas=1, cpu="10m", memory="64Mi", memory_limit="128Mi"),
)


if __name__ == "__main__":
    ours.SERVICES = (*ours.SERVICES, TOY, TICKING)
    sys.stdout.write(import_module("tests.roster.looking").look(Path(sys.argv[1])))
