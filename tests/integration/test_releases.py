"""Releases on two Triton servers under load: killed anywhere, two at once, with a server down."""

import asyncio
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.declared import model_of
from tests.defined import asset_of
from tests.engine_records import message_of, record_of_plan
from tests.integration.released_models import (
    IMAGE,
    ORDER,
    Ask,
    Serving,
    network,
    over_grpc,
    steady_load,
)
from tests.integration.releasing import ReleasingProcess, releasing_process
from tests.integration.second_triton import SecondTriton, two_servers
from tests.kubernetes_api import Manifest, kubernetes_api
from tests.releases import all_doors, expected_probabilities, switch_under_load
from tests.stacks import visionops
from tests.waiting import eventually
from visionops_assets.crash_points import CrashPoint
from visionops_assets.errors import (
    GateRefusedError,
    InvalidRequestError,
    NotFoundError,
    ReleaseError,
    RolloutError,
)
from visionops_assets.releasing.audit import Order
from visionops_assets.releasing.engines import write_engine
from visionops_assets.resources.triton import TritonServer
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.settings import Settings, load_settings

CONVERGED_WITHIN_S = 60
KILLED_AT = [
    CrashPoint.RELEASE_LOCKED,
    CrashPoint.RELEASE_FOLDER_WRITTEN,
    CrashPoint.RELEASE_REHEARSING,
    CrashPoint.RELEASE_REHEARSED,
    CrashPoint.RELEASE_SWITCHED,
    CrashPoint.RELEASE_COMMITTED,
    CrashPoint.ROLLOUT_LOADED,
]


@pytest.fixture(scope="module")
def second(
    quiet_stack: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecondTriton]:
    with two_servers(quiet_stack, tmp_path_factory.mktemp("second")) as second:
        yield second


@pytest.fixture(scope="module")
def served(quiet_stack: Settings, second: SecondTriton) -> Serving:
    """The model that the gateway serves, with a champion."""
    serving = Serving(quiet_stack, model_of(quiet_stack).name)
    serving.release(6)
    return serving


@pytest.fixture
def serving(quiet_stack: Settings, second: SecondTriton) -> Iterator[Serving]:
    """A model of its own, with champion 1 on both servers."""
    serving = Serving(quiet_stack)
    serving.release(1)
    yield serving
    serving.unload()


@pytest.fixture(scope="module")
def crash_points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash-points")


@pytest.fixture(scope="module")
def releasing(second: SecondTriton, crash_points: Path) -> Iterator[ReleasingProcess]:
    """What changes what serves, and may be killed."""
    with releasing_process(crash_points) as process:
        yield process


def converge_until(serving: Serving, champion: int | None) -> None:
    """Converge as the sensor does, until all is as it should be.

    Once is not enough: a server may still be at a load that the killed process asked for, and
    PostgreSQL may not have noticed yet that the lock's holder died.
    """
    deadline = time.monotonic() + CONVERGED_WITHIN_S
    while not is_converged(serving, champion):
        assert time.monotonic() < deadline, serving.converge()
        time.sleep(0.2)


def is_converged(serving: Serving, champion: int | None) -> bool:
    return (
        "as it should be" in serving.converge()
        and serving.champion() == champion
        and serving.served() == [champion, champion]
        and serving.loaded("-rehearsal") == [None, None]
        and serving.loaded("-candidate") == [None, None]
    )


def test_switches_under_load_fail_no_request_and_mix_no_answer(
    served: Serving, second: SecondTriton
) -> None:
    with all_doors(served, second) as doors:
        load, promotions_s, rollbacks_s = switch_under_load(served, doors, 6)
    assert load.errors == []
    assert load.mixed == 0
    assert (len(promotions_s), len(rollbacks_s)) == (4, 2)
    assert set(load.versions) == {6, 1, 2, 3}
    assert load.requests > 300


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_release_killed_anywhere_leaves_one_champion(
    served: Serving,
    second: SecondTriton,
    releasing: ReleasingProcess,
    crash_points: Path,
    point: CrashPoint,
) -> None:
    before = served.champion() or 0
    version = next_version(served)
    served.offer(version)
    expected = {v: expected_probabilities(served, v) for v in (before, version)}
    (crash_points / point).touch()
    with (
        all_doors(served, second) as doors,
        steady_load(*doors, expected=expected) as load,
    ):
        what = "canary" if point is CrashPoint.ROLLOUT_LOADED else "promote"
        assert releasing.run(what, served.model, version) == -signal.SIGKILL
        converge_until(served, version if point is CrashPoint.RELEASE_COMMITTED else before)
    assert load.errors == []
    assert load.mixed == 0
    assert set(load.versions) <= {before, version}


def test_after_a_release_that_was_killed_the_same_can_be_released(
    served: Serving, releasing: ReleasingProcess, crash_points: Path
) -> None:
    version = next_version(served)
    served.offer(version)
    (crash_points / CrashPoint.RELEASE_REHEARSING).touch()
    assert releasing.run("promote", served.model, version) == -signal.SIGKILL
    assert releasing.run("promote", served.model, version) == 0
    converge_until(served, version)


def next_version(serving: Serving) -> int:
    """Return a version that was never exported."""
    exported = serving.store.list_keys(f"exports/{serving.model}/")
    return max(int(key.split("/")[2]) for key in exported) + 1


def test_of_two_controllers_at_once_the_second_is_judged_against_the_first(
    serving: Serving,
) -> None:
    serving.offer(2, 3)
    with ThreadPoolExecutor(2) as pool:
        refusals = [e for e in pool.map(lambda v: refusal_of(serving, v), (2, 3)) if e is not None]
    champion = serving.champion()
    assert len(refusals) == 1
    assert f"{champion} is champion now" in str(refusals[0])
    assert serving.served() == [champion, champion]
    assert serving.releases() == 2


def refusal_of(serving: Serving, version: int) -> GateRefusedError | None:
    try:
        serving.releaser.promote(serving.model, version, ORDER)
    except GateRefusedError as error:
        return error
    return None


def test_a_server_that_is_down_stops_a_promotion_not_a_rollback_and_catches_up(
    serving: Serving, second: SecondTriton
) -> None:
    serving.release(2)
    serving.offer(3)
    second.stop()
    try:
        with steady_load(over_grpc(serving)) as load:
            with pytest.raises(ReleaseError, match="does not answer"):
                serving.releaser.promote(serving.model, 3, ORDER)
            assert serving.triton.served_version(serving.model) == 2
            serving.releaser.roll_back(serving.model, ORDER)
            assert "does not answer" in serving.converge()
    finally:
        second.start()
    assert load.errors == []
    assert set(load.versions) == {1, 2}
    converge_until(serving, 1)


@pytest.mark.attack
def test_a_server_that_starts_has_the_champion_though_nobody_releases(
    served: Serving, second: SecondTriton
) -> None:
    """An added Triton has the champion, though no Dagster runs and nothing is asked to converge."""
    server = TritonServer(address=second.address)
    second.stop()
    second.forget()
    second.start()
    assert server.served_version(served.model) == served.champion()
    assert len(server.predict(served.model, [IMAGE], record=False, task="classification")) == 1


@contextmanager
def over_channel(serving: Serving, *addresses: str) -> Iterator[Ask]:
    """Ask several servers in turn, as a gateway does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    channel = TritonChannel(f"ipv4:{','.join(addresses)}")
    connected = channel.connected()

    def ask() -> tuple[int, Sequence[float]]:
        asked = channel.infer(serving.model, IMAGE, 30.0, record=False, task="classification")
        answer = asyncio.run_coroutine_threadsafe(asked, loop).result()
        return answer.model_version, answer.answer.probabilities

    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(connected.__aenter__(), loop).result()
        yield ask
    finally:
        leaving = connected.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(leaving, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_server_that_lost_the_model_or_comes_anew_fails_no_request(
    served: Serving, second: SecondTriton
) -> None:
    champion = served.champion()
    server = TritonServer(address=second.address)
    with (
        over_channel(served, served.settings.triton_grpc_address, second.address) as ask,
        steady_load(*[ask] * 8) as load,
    ):
        server.unload(served.model)
        without = load.requests
        eventually("requests", lambda: load.requests > without + 100)
        assert server.served_version(served.model) is None
        converge_until(served, champion)
        second.stop()
        second.forget()
        second.start()
        anew = load.requests
        eventually("more requests", lambda: load.requests > anew + 100)
    assert load.errors == []
    assert set(load.versions) == {champion}


@pytest.mark.attack
def test_a_server_does_not_start_from_what_was_altered_in_the_store(
    served: Serving, second: SecondTriton
) -> None:
    """Model code altered in the store: Triton does not start from it."""
    key = f"releases/{served.model}/{served.champion()}/model.py"
    original = served.store.get(key)
    second.stop()
    second.forget()
    served.store.put(key, b"import os; os.abort()")
    # Where an earlier version had its models, and no key is asked for today.
    served.store.put(f"triton/{served.model}/1/model.py", b"import os; os.abort()")
    try:
        second.start_keeper_alone()
        eventually("a word of the keeper", lambda: "checksum" in second.log("keeper"))
        assert not second.is_laid_out
        served.store.put(key, original)
        eventually("the champion beside the server", lambda: second.is_laid_out)
    finally:
        served.store.put(key, original)
        second.stop()
        second.start()


def test_rollbacks_go_back_step_by_step_and_are_audited(serving: Serving) -> None:
    serving.release(2)
    serving.release(3)
    why = Order("anna@desk", "It sees cats everywhere.")
    serving.releaser.roll_back(serving.model, why)
    assert serving.served() == [2, 2]
    serving.releaser.roll_back(serving.model, why)
    assert serving.served() == [1, 1]
    with pytest.raises(NotFoundError, match="nothing to go back to"):
        serving.releaser.roll_back(serving.model, why)
    with pytest.raises(InvalidRequestError, match="champion already"):
        serving.releaser.roll_back(serving.model, why, to=1)
    with pytest.raises(NotFoundError, match="never released"):
        serving.releaser.roll_back(serving.model, why, to=9)
    serving.releaser.roll_back(serving.model, why, to=3)
    assert serving.actions() == [
        "promoted 1",
        "promoted 2",
        "promoted 3",
        "rolled_back 2",
        "rolled_back 1",
        "refused 1",
        "refused 9",
        "rolled_back 3",
    ]
    last = serving.audit()[-1]
    assert (last.actor, last.reason) == (why.actor, why.reason)


@pytest.mark.parametrize("table", ["release_event", "release", "verdict"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET model_version = 7", "DELETE FROM {}"])
def test_the_database_refuses_to_change_what_was_decided(
    served: Serving, table: str, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="are never changed"), served.catalog.begin() as session:
        session.execute(text(statement.format(table)))


def test_the_command_line_releases_says_why_not_and_shows_the_audit(served: Serving) -> None:
    version = next_version(served)
    why = ("--reason", "a [bold]test[/bold]")
    missing = visionops("releases", "promote", str(version), *why)
    assert missing.returncode == 2
    assert missing.stderr.startswith("visionops: ")
    assert len(missing.stderr.splitlines()) == 1
    served.offer(version)
    before = served.champion()
    promoted = visionops("releases", "promote", str(version), *why, "--as", "anna")
    assert promoted.returncode == 0, promoted.stderr
    assert f"Version {version} is champion in place of {before}" in promoted.stdout
    back = visionops("releases", "rollback", *why)
    assert back.returncode == 0, back.stderr
    assert served.champion() == before
    shown = visionops("releases", "ls").stdout
    assert f"Champion: version {before}" in shown
    assert "rolled_back" in shown
    assert "a [bold]test[/bold]" in shown
    lines = visionops("releases", "ls", "--json", "--limit", "2").stdout.splitlines()
    assert len(lines) == 2
    assert '"actor": "anna"' in lines[1]


def test_nothing_to_stop_is_said(served: Serving) -> None:
    with pytest.raises(RolloutError, match="under way"):
        served.rollouts.stop(served.model, ORDER)


@pytest.fixture
def tensorrt(
    quiet_stack: Settings, second: SecondTriton, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Give both servers a stand-in for the TensorRT backend, and declare a kind of GPU."""
    for home in (quiet_stack.home, second.home):
        backend = home / "triton" / "backends" / "tensorrt"
        backend.mkdir()
        shutil.copy2(Path(__file__).with_name("tensorrt_backend.py"), backend / "model.py")
    monkeypatch.setenv("VISIONOPS_SERVING_LAYOUT", "ensemble")
    monkeypatch.setenv("VISIONOPS_ENGINE_GPUS", "NVIDIA-L4")
    monkeypatch.setenv("VISIONOPS_K8S_TRAINER_IMAGE", "trainer:1")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@contextmanager
def declared_gpus(kinds: str) -> Iterator[None]:
    """Declare other kinds of GPU for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONOPS_ENGINE_GPUS", kinds)
        load_settings.cache_clear()
        yield
    load_settings.cache_clear()


def build_engine_of(served: Serving, version: int, plan: bytes) -> None:
    """Materialize `engine`; the node that runs its Job stores this plan, signed."""
    record = record_of_plan(plan, network(version), version=version, model=served.model)

    with kubernetes_api() as (cluster, jobs):

        def node(job: Manifest) -> None:
            write_engine(served.store, record, plan)
            cluster.end(job, "Complete", message_of(record))

        cluster.node = node
        resources = {"catalog": served.catalog, "kubernetes_jobs": jobs}
        assert dg.materialize([asset_of("engine")], resources=resources).success


def networks(served: Serving) -> set[str]:
    """Name what runs the champion's network, on all servers."""
    return {server.composing_models(served.model)[1] for server in served.triton.replicas()}


# The last of this file: the model that the gateway serves is another after it.
@pytest.mark.usefixtures("tensorrt")
def test_an_engine_is_taken_when_it_comes_and_one_that_fails_leaves_onnx(
    served: Serving, second: SecondTriton
) -> None:
    doors = [over_grpc(served, server) for server in served.triton.replicas()]
    served.release(41)
    assert networks(served) == {f"{served.model}-41-infer"}
    expected = {41: expected_probabilities(served, 41)}
    with steady_load(*doors, expected=expected) as load:
        build_engine_of(served, 41, plan=network(41))

        def is_taken() -> bool:
            served.converge()
            (one, *others) = networks(served)
            return not others and f"{served.model}-41-engine_" in one

        eventually("the engine on both servers", is_taken)
        served.converge()
        assert served.actions()[-2:] == ["promoted 41", "engine_served 41"]
        with declared_gpus("NVIDIA-A10G"):
            served.converge()
            assert networks(served) == {f"{served.model}-41-infer"}
            build_engine_of(served, 41, plan=b"no engine")

            def is_refused() -> bool:
                served.converge()
                return served.actions()[-1] == "engine_refused 41"

            eventually("the refusal", is_refused)
    assert networks(served) == {f"{served.model}-41-infer"}
    assert set(load.versions) == {41}
    assert load.errors == []
    assert load.mixed == 0
