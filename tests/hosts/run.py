"""A run, within its network: servers, pods, load, kills, rest, and the check of everything."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from rich.console import Console

from tests.chaos.invariants import Violation
from tests.chaos.observing import observe
from tests.declared import model_of
from tests.hosts.checking import (
    check_media,
    check_predictions,
    check_requests,
    check_served,
    held_by_triton,
)
from tests.hosts.cluster import KINDS, enter, read_cluster
from tests.hosts.installing import Installer
from tests.hosts.killing import Killer, Step, steps_of_round
from tests.hosts.kubelet import Kubelet, Pace, Pod
from tests.hosts.load import GATEWAY, INGEST, PORTS, SOURCE, TRITON, Load
from tests.hosts.names import Names
from tests.hosts.network import Network, place_of
from tests.hosts.observing import await_recorded, await_rest, longest_announcement_s
from tests.hosts.records import HOST, Seen, Served
from tests.hosts.releasing import VERSIONS, Releasing, expected_probabilities
from tests.hosts.report import Found, Report, summarise
from tests.hosts.servers import running_servers
from tests.hosts.transactions import Transactions
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import create
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings
from visionops_assets.stack.plan import Plan as StackPlan
from visionops_assets.stack.ports import DEFAULT_PORTS

RELAY = "relay"


@dataclass(frozen=True)
class Plan:
    """What is asked of a run: rounds of kills until `seconds` are over, at least one.

    A round kills a pod of each of `kinds`, and then a host with all that is on it. `calm_s` is
    between two kills. A host is away for `host_away_s`; one that does not `return` ends the run. If
    hosts return, a third Triton is added once two were killed.
    """

    seconds: float
    kinds: Sequence[str]
    pace: Pace
    calm_s: float
    host_away_s: float
    hosts_return: bool
    pause_s: float
    converge_every_s: float
    patience_s: float = 180.0
    rest_within_s: float = 120.0


SHORT = Plan(
    seconds=0,
    kinds=(GATEWAY, INGEST, TRITON),
    pace=Pace(restart_after_s=2, host_grace_s=4),
    calm_s=1,
    host_away_s=6,
    hosts_return=False,
    pause_s=0.2,
    converge_every_s=2,
)
LONG = Plan(
    seconds=300,
    kinds=KINDS,
    pace=Pace(restart_after_s=5, host_grace_s=40),
    calm_s=5,
    host_away_s=60,
    hosts_return=True,
    pause_s=0.1,
    converge_every_s=10,
)


@dataclass(frozen=True)
class Outcome:
    """The figures, and what does not hold."""

    report: Report
    violations: Sequence[Violation]


def run(plan: Plan, network: Network, names: Names, home: Path, console: Console) -> Outcome:
    """Run the whole of it, in a process that is in the network.

    Raises:
        PatienceError: something did not come back, so that the run says nothing.
    """
    tell = _Telling(console)
    cluster = read_cluster()
    settings = enter(cluster, home)
    stack = StackPlan(settings, DEFAULT_PORTS, frozenset())
    installer = Installer(cluster, stack, network, names)
    with running_servers(stack, network, names.path), installer.mount_points():
        tell("Servers are up")
        installer.prepare()
        tell("The catalog is prepared")
        kubelet = installer.kubelet(plan.pace)
        with kubelet.running(), closing(Transactions(cluster.catalog_conninfo)) as transactions:
            return _Run(plan, settings, kubelet, transactions, tell).outcome()


class _Telling:
    """Prints what happens, with the seconds since the run began."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_at_s = time.monotonic()

    def __call__(self, text: str) -> None:
        line = f"{time.monotonic() - self._began_at_s:6.1f} s  {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Run:
    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        kubelet: Kubelet,
        transactions: Transactions,
        tell: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._kubelet = kubelet
        self._transactions = transactions
        self._tell = tell
        self._killer = Killer(kubelet, plan.patience_s, tell)
        self._releasing = Releasing(settings)
        self._releases_s: list[float] = []
        self._rollbacks_s: list[float] = []
        self._added_after_s: list[float] = []
        self._served: list[Served] = []
        self._pool = ThreadPoolExecutor()
        self._transaction_ends: list[Future[float | None]] = []

    def outcome(self) -> Outcome:
        self._killer.await_up(self._kubelet.of_kind(TRITON))
        self._releasing.release()
        self._killer.await_up(list(self._kubelet.pods.values()))
        self._tell("All pods are up, and a version is released")
        expected = {version: expected_probabilities(version) for version in VERSIONS}
        with Catalog().begin() as session:
            _, key = create(session, SOURCE, (Scope.INGEST, Scope.PREDICT))
        load = Load(self._kubelet, key, model_of(self._settings).name, expected, self._plan.pause_s)
        began_at_s = time.monotonic()
        with self._releasing.converging(self._plan.converge_every_s):
            with load.running() as seen:
                self._kill_round_by_round(began_at_s)
                self._killer.await_up(self._kubelet.present())
                self._tell("All pods are up again")
                seconds = time.monotonic() - began_at_s
            self._see_what_is_served()
        return self._judge(seen, began_at_s, seconds)

    def _kill_round_by_round(self, began_at_s: float) -> None:
        for number in count():
            for step in steps_of_round(number, self._plan.kinds):
                time.sleep(self._plan.calm_s)
                self._take(step)
            is_over = time.monotonic() >= began_at_s + self._plan.seconds
            if is_over or not self._plan.hosts_return:
                return
            if number == 1:
                self._add_triton()

    def _add_triton(self) -> None:
        began_at_s = time.monotonic()
        added = self._kubelet.add()
        self._killer.await_up([added])
        self._added_after_s.append(time.monotonic() - began_at_s)
        self._tell(f"Added {added.name}, which was ready in {self._added_after_s[-1]:.1f} s")
        self._see_what_is_served()

    def _take(self, step: Step) -> None:
        if step.kind == HOST:
            self._vanish(step.host)
            return
        self._killer.kill(step)
        if step.kind == TRITON:
            seconds = self._releasing.release()
            self._releases_s.append(seconds)
            self._tell(f"Released version {self._releasing.serving.champion()} in {seconds:.1f} s")

    def _vanish(self, host: str) -> None:
        """Let a host vanish at the worst moment: while its relay holds rows of the outbox."""
        self._see_what_is_served()
        relay = self._kubelet.pods[place_of(RELAY, host)]
        self._killer.vanish(host, lambda: self._freeze_in_transaction(relay))
        vanished_at_s = time.monotonic()
        for backend in self._transactions.open_at(relay.address):
            patience_s = self._plan.rest_within_s
            ends = self._pool.submit(self._transactions.await_end, backend, patience_s)
            self._transaction_ends.append(ends)
        seconds = self._releasing.roll_back()
        self._rollbacks_s.append(seconds)
        self._tell(f"Rolled back to {self._releasing.serving.champion()} in {seconds:.1f} s")
        time.sleep(max(0.0, vanished_at_s + self._plan.host_away_s - time.monotonic()))
        if self._plan.hosts_return:
            self._kubelet.bring_back(host)
            self._tell(f"{host} is back")

    def _freeze_in_transaction(self, relay: Pod) -> None:
        """Stop a relay while PostgreSQL keeps rows for it; let it be if it never has any."""
        deadline = time.monotonic() + self._plan.patience_s
        while time.monotonic() < deadline:
            if self._transactions.await_open(relay.address, within_s=1.0):
                relay.freeze()
                if self._transactions.open_at(relay.address):
                    return
                relay.thaw()

    def _see_what_is_served(self) -> None:
        """Note what each Triton serves, once all that are there serve the champion."""
        deadline = time.monotonic() + self._plan.patience_s
        tritons = [pod for pod in self._kubelet.present() if pod.kind == TRITON]
        addresses = [f"{pod.address}:{PORTS[TRITON]}" for pod in tritons]
        champion = self._releasing.serving.champion() or 0
        while True:
            served = Served(champion, self._releasing.answers(addresses))
            if not list(check_served(served)) or time.monotonic() > deadline:
                self._served.append(served)
                return
            time.sleep(0.5)

    def _judge(self, seen: Seen, began_at_s: float, seconds: float) -> Outcome:
        left = await_rest(self._plan.rest_within_s)
        self._tell(f"At rest; left: {left or 'nothing'}")
        kills = self._killer.kills()
        _, to_find = held_by_triton(seen.predictions, set(), kills)
        must = {answered.prediction_id for answered in to_find}
        topic = self._settings.kafka_predictions_topic
        recorded = await_recorded(topic, must, self._plan.rest_within_s)
        held, lost = held_by_triton(seen.predictions, set(recorded), kills)
        state = observe(self._settings)
        found = Found(
            began_at_s=began_at_s,
            seconds=seconds,
            pods=list(self._kubelet.pods.values()),
            kills=kills,
            seen=seen,
            state=state,
            recorded=recorded,
            held=held,
            longest_announcement_s=longest_announcement_s(),
            transactions_s=[ends.result() for ends in self._transaction_ends],
            releases=self._releasing.releases,
            releases_s=self._releases_s,
            rollbacks_s=self._rollbacks_s,
            added_after_s=self._added_after_s,
            releases_refused=self._releasing.refused,
            served=self._served,
        )
        violations = [
            *check_media(seen.acknowledged, state),
            *check_predictions(lost, recorded),
            *check_requests(seen, kills),
            *chain.from_iterable(map(check_served, self._served)),
        ]
        return Outcome(summarise(found, violations), violations)
