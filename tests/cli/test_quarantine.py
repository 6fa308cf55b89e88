from uuid import UUID

import pytest
from typer.testing import CliRunner

from tests.cli import catalogs
from visionops_assets.catalog import quarantine
from visionops_assets.catalog.schema import Media
from visionops_assets.cli import app
from visionops_assets.errors import InvalidRequestError, NotFoundError

ONE, OTHER = str(UUID(int=1)), str(UUID(int=2))


@pytest.fixture
def retried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are retried; two are in quarantine with the reason `corrupt`."""
    done: list[str] = []
    catalogs.install(monkeypatch)
    monkeypatch.setattr(quarantine, "retry", lambda _s, _t, found: done.append(str(found)))
    rows = [Media(media_id=UUID(each)) for each in (ONE, OTHER)]
    monkeypatch.setattr(quarantine, "quarantined", lambda _s, code: rows[: 2 * (code == "corrupt")])
    return done


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([ONE], [ONE]),
        ([OTHER, ONE, OTHER], [OTHER, ONE]),
        (["--code", "corrupt"], [ONE, OTHER]),
    ],
)
def test_files_are_retried_by_id_or_by_reason(
    retried: list[str], words: list[str], expected: list[str]
) -> None:
    result = CliRunner().invoke(app, ["quarantine", "retry", *words])
    assert retried == expected
    assert f"Retrying {len(expected)} file(s)" in result.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], InvalidRequestError),
        ([ONE, "--code", "corrupt"], InvalidRequestError),
        (["--code", "empty"], NotFoundError),
    ],
)
def test_what_names_no_file_or_names_it_twice_is_refused(
    retried: list[str], words: list[str], error: type[Exception]
) -> None:
    result = CliRunner().invoke(app, ["quarantine", "retry", *words])
    assert isinstance(result.exception, error)
    assert retried == []
