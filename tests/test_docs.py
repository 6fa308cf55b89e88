"""The site builds without a warning, and its reference has everything that the code has."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from tests.deploy.monitoring import alerts
from visionops_assets.cli import app
from visionops_assets.services.http.problems import STATUS_BY_CODE
from visionops_assets.settings import Settings

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^ *```(?:sh)?\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
LOADED = re.compile(r'<(?:script|img|link)[^>]*\b(?:src|href)="(https?://[^"]*)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def words_of(site: Path, page: str) -> set[str]:
    """Return what stands as code on a page, and the words of its links."""
    html = (site / "reference" / f"{page}.html").read_text()
    return set(re.findall(r"<(?:code|a [^>]*)>([^<]+)</", html))


def headings_of(site: Path, page: str) -> set[str]:
    html = (site / "reference" / f"{page}.html").read_text()
    return {heading.strip() for heading in re.findall(r"<h2[^>]*>([^<]+)<", html)}


def leaf_commands(path: str, command: object) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            if not getattr(child, "hidden", False):
                yield from leaf_commands(f"{path} {name}", child)
    else:
        yield path


def documented_calls() -> list[list[str]]:
    """Return the calls of `visionops` in blocks of all pages, as words after that one."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "deploy" / "RUNBOOKS.md"]
    blocks = [block for page in pages for block in BLOCK.findall(page.read_text())]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    calls = [line.removeprefix(".venv/bin/") for line in lines]
    return [shlex.split(call, comments=True)[1:] for call in calls if call.startswith("visionops ")]


def unknown_words(words: list[str]) -> list[str]:
    """Return the words of a call that name no command, and the options that it does not have."""
    command: object = typer.main.get_command(app)
    rest = list(words)
    while isinstance(command, TyperGroup):
        name = rest.pop(0)
        if name not in command.commands or command.commands[name].hidden:
            return [name]
        command = command.commands[name]
    assert isinstance(command, TyperCommand)
    known = {name for parameter in command.params for name in parameter.opts}
    return [word for word in rest if word.startswith("-") and word not in known]


def codes_in_source() -> set[str]:
    """Return each error code of the package: of classes, and given to `problem` by itself."""
    codes = set()
    for file in (ROOT / "visionops_assets").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Assign(targets=[ast.Name("code")], value=ast.Constant(str(code))):
                    codes.add(code)
                case ast.Call(ast.Name("problem"), [_, ast.Constant(str(code)), *_]):
                    codes.add(code)
    return codes


def test_every_setting_is_there_and_says_what_it_means(site: Path) -> None:
    shown = words_of(site, "settings")
    assert {f"VISIONOPS_{name.upper()}" for name in Settings.model_fields} <= shown
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_command_is_there(site: Path) -> None:
    commands = set(leaf_commands("visionops", typer.main.get_command(app)))
    assert commands == headings_of(site, "commands")


def test_every_call_of_the_pages_can_be_made() -> None:
    calls = documented_calls()
    assert len(calls) > 50
    assert {" ".join(call): unknown for call in calls if (unknown := unknown_words(call))} == {}


@pytest.mark.parametrize("call", ["camera list", "import x --label-by-file", "no-such"])
def test_a_call_that_cannot_be_made_is_found(call: str) -> None:
    assert unknown_words(call.split())


def test_every_error_code_is_there(site: Path) -> None:
    codes = codes_in_source() | STATUS_BY_CODE.keys()
    assert "foreign_origin" in codes
    assert codes <= words_of(site, "errors")


def test_every_alert_is_there(site: Path) -> None:
    assert {alert["alert"] for alert in alerts()} <= words_of(site, "alerts")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("http", {"POST /v1/media", "POST /v1/predict", "PATCH /v1/uploads/{upload_id}", "label"}),
        ("grpc", {"IMAGE", "LABEL", "EMBEDDING"}),
        ("metrics", {"visionops_uploads_total", "visionops_consumer_lag", "visionops_drift"}),
        (
            "assets",
            {"raw_media", "classifier/labels", "media_events", "gate"},
        ),
    ],
)
def test_a_page_has_what_the_code_has(site: Path, page: str, words: set[str]) -> None:
    assert words <= words_of(site, page)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    assert [url for file in pages for url in LOADED.findall(file.read_text())] == []


def test_the_search_finds_pages_of_both_kinds(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"index.html", "reference/settings.html", "how-to/runbooks.html"} <= places
