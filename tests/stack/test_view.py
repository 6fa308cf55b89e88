import time
from itertools import islice
from pathlib import Path

import pytest
from rich.console import Console

from visionops_assets.settings import Settings
from visionops_assets.stack import view
from visionops_assets.stack.paths import Paths, tail
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.servers import build_servers
from visionops_assets.stack.state import ServerState, StackState, Status


def state(**fields: object) -> ServerState:
    return ServerState.model_validate({"name": "db", "address": "a:1", "log": "/l/db.log"} | fields)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_720, "1h 2m"), (90_000, "1d 1h")],
)
def test_uptime_has_two_units(seconds: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0 + seconds)
    assert view.uptime(state(status=Status.READY, ready_at_s=1_000_000.0)) == shown


def test_only_a_ready_server_has_an_uptime() -> None:
    assert view.uptime(state(status=Status.RESTARTING, ready_at_s=1.0)) == ""


def test_each_figure_of_a_server_has_its_column() -> None:
    servers = (state(status=Status.FAILED, restarts=3, pid=42), state(name="api", pid=None))
    table = view.status_table(StackState(supervisor_pid=1, servers=servers))
    shown = {str(column.header): list(column.cells) for column in table.columns}
    assert shown == {
        "server": ["db", "api"],
        "state": ["[bold red]failed[/]", "[dim]waiting[/]"],
        "up": ["", ""],
        "restarts": ["3", "0"],
        "pid": ["42", ""],
    }


def test_the_table_shows_messages_as_they_are() -> None:
    stack = StackState(supervisor_pid=1, servers=(state(message="[bold]ended", restarts=3),))
    console = Console(width=200, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(view.status_table(stack))
    console.file.close()
    assert "waiting ([bold]ended)" in console.export_text()


@pytest.mark.parametrize(
    ("statuses", "error", "words"),
    [
        ((), "", "The stack is starting"),
        ((Status.READY, Status.EXTERNAL), "", "All 2 servers are ready."),
        (
            (Status.READY, Status.RESTARTING),
            "",
            "1 of 2 servers is not ready: s1 (restarting). `visionops doctor` says",
        ),
        ((Status.WAITING, Status.STARTING), "", "are not ready: s0 (waiting), s1 (starting)."),
        ((Status.STOPPED, Status.FAILED), "", "is stopped: start it by `visionops up`."),
        ((Status.ORPHANED, Status.STOPPED), "", "The supervisor was killed"),
        ((Status.READY,), "The supervisor is silent.", "The supervisor is silent."),
    ],
)
def test_the_summary_says_whether_all_is_well_and_what_to_do(
    statuses: tuple[Status, ...], error: str, words: str
) -> None:
    servers = tuple(state(name=f"s{i}", status=status) for i, status in enumerate(statuses))
    said = view.summary(StackState(supervisor_pid=1, servers=servers, error=error))
    assert words in said
    assert len(said.splitlines()) == 1


def test_pages_that_people_open_come_before_other_addresses() -> None:
    names = ("tansu", "relay", "ingest", "dagster-webserver", "gateway")
    servers = tuple(
        state(name=name, address="" if name == "relay" else f"{name}:1") for name in names
    )
    table = view.address_table(StackState(supervisor_pid=1, servers=servers))
    console = Console(width=120, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(table)
    console.file.close()
    shown = [line.split()[0] for line in console.export_text().splitlines()[1:]]
    assert shown == ["gateway", "dagster-webserver", "ingest", "tansu"]


def test_an_address_of_grpc_has_a_row_of_its_own() -> None:
    gateway = state(name="gateway", address="http://127.0.0.1:8081", grpc_address="127.0.0.1:8084")
    table = view.address_table(StackState(supervisor_pid=1, servers=(gateway,)))
    assert list(table.columns[0].cells) == ["gateway", "gateway, gRPC"]
    assert list(table.columns[1].cells) == ["http://127.0.0.1:8081", "127.0.0.1:8084"]


def test_every_page_is_of_a_server_of_the_stack() -> None:
    described = build_servers(Plan(Settings(), dict(DEFAULT_PORTS), frozenset()))
    optional = {"prometheus"}
    assert view._PAGES.keys() - optional <= {server.name for server in described}


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "db.log"
    assert tail(log, 2) == []
    log.write_bytes(b"x" * 300_000 + b"\none\ntwo\n\xff\n")
    assert tail(log, 3) == ["one", "two", "\ufffd"]


def test_a_followed_log_goes_on_after_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "db.log"
    log.write_text("one\ntwo\nthree\n")
    lines = view.follow(log, 2)
    assert list(islice(lines, 2)) == ["two", "three"]
    with log.open("a") as file:
        file.write("four\n")
    assert next(lines) == "four"
    log.write_text("five\n")
    assert next(lines) == "five"


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visionops_assets.stack.paths._ROTATE_BYTES", 10)
    paths = Paths(tmp_path)
    paths.create()
    paths.log("db").write_text("short")
    assert paths.rotate_log("db").read_text() == "short"
    paths.log("db").write_text("longer than ten bytes")
    assert not paths.rotate_log("db").exists()
    assert (tmp_path / "logs" / "db.log.1").read_text() == "longer than ten bytes"


def test_a_log_is_cut_while_its_server_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionops_assets.stack.paths._ROTATE_BYTES", 10)
    paths = Paths(tmp_path)
    paths.create()
    paths.cut_log("db")
    with paths.log("db").open("a") as server:
        for text, aside, left in [
            ("short", None, "short"),
            (" and more than ten", "e than ten", ""),
            ("afterwards", "e than ten", "afterwards"),
            (", again", "rds, again", ""),
        ]:
            server.write(text)
            server.flush()
            paths.cut_log("db")
            kept = tmp_path / "logs" / "db.log.1"
            assert (kept.read_text() if kept.exists() else None) == aside
            assert paths.log("db").read_text() == left


def test_a_log_stays_bounded_without_room_for_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionops_assets.stack.paths._ROTATE_BYTES", 10)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    paths = Paths(tmp_path)
    paths.create()
    paths.log("db").write_text("longer than ten bytes")
    paths.cut_log("db")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["db.log"]
    assert paths.log("db").read_text() == ""
