"""The demo leaves projects alone that hold media of a user."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from visionops_assets.catalog.feedback import FEEDBACK
from visionops_assets.demo import run
from visionops_assets.demo.clients import SOURCE
from visionops_assets.errors import InvalidRequestError
from visionops_assets.settings import load_settings


class Catalog:
    """Holds media of these sources."""

    def __init__(self, *sources: str) -> None:
        self.sources = sources

    @contextmanager
    def begin(self) -> Iterator["Catalog"]:
        yield self

    def scalars(self, _query: object) -> tuple[str, ...]:
        return self.sources


@pytest.mark.parametrize("sources", [(), (SOURCE,), (FEEDBACK, SOURCE)])
def test_its_own_media_are_no_obstacle(
    sources: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Catalog", lambda: Catalog(*sources))
    run.refuse_to_mix(load_settings())


def test_media_of_others_are_not_mixed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Catalog", lambda: Catalog("import", SOURCE))
    with pytest.raises(InvalidRequestError, match=r"import.*VISIONOPS_HOME=.visionops-demo"):
        run.refuse_to_mix(load_settings())
