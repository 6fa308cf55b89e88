"""Services are listed once, in `roster/ours.py`, and whatever is a service is listed there."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.structure.test_rooms import MODULES, PACKAGE
from visionops_assets.roster.ours import SERVICES
from visionops_assets.roster.service import Need, Service
from visionops_assets.settings import Settings

NAMES = {service.name for service in SERVICES}
SHARED = {"http", "heartbeat", "logs", "dagster_webserver"}
"""Rooms of `services/` that services share, and Dagster's own server."""
SELECTED = {"stack.view"}
"""Modules that name some for a reason of their own: the pages that people open."""


def test_every_program_of_the_room_is_declared() -> None:
    programs = {
        path.stem
        for path in (PACKAGE / "services").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    declared = {service.module.rpartition(".")[2] for service in SERVICES}
    assert programs - SHARED - {"__init__"} == declared, "declare it in roster/ours.py"
    assert len(NAMES) == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_declaration_names_what_exists(service: Service) -> None:
    assert find_spec(service.module) is not None
    known = set(Need) | NAMES
    assert set(service.needs) | set(service.calls) <= known
    fields = Settings.model_fields
    for address in service.addresses:
        assert address.setting in fields, "add a line to settings/services.py"
        assert fields[address.setting].default == address.at("127.0.0.1")
        assert fields[address.setting].description == address.says
    assert set(service.secrets) <= fields.keys()
    if service.heartbeat:
        assert service.heartbeat.beside in fields
        assert service.heartbeat.turn_setting in {"", *fields}


def test_no_two_listen_on_one_port() -> None:
    numbers = [address.number for service in SERVICES for address in service.addresses]
    assert len(set(numbers)) == len(numbers)


def lists_of_services(tree: ast.Module) -> Iterator[set[str]]:
    """Yield the services that a collection names, where it names three and more."""
    for node in ast.walk(tree):
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        named = {str(part.value) for part in parts if isinstance(part, ast.Constant)} & NAMES
        if len(named) > 2:
            yield named


@pytest.mark.parametrize("module", [name for name in MODULES if name not in SELECTED])
def test_nobody_has_a_list_of_their_own(module: str) -> None:
    assert list(lists_of_services(MODULES[module])) == []


def test_a_list_is_found() -> None:
    listed = ast.parse('X = {"ingest": 1, "relay": 2, "sweep": 3}; Y = ("ingest", "relay")')
    assert list(lists_of_services(listed)) == [{"ingest", "relay", "sweep"}]
