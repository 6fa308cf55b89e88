"""Unit tests sign with a key of their own, not with that of a stack on this machine."""

from collections.abc import Iterator

import pytest

from visionops_assets.settings import load_settings


@pytest.fixture(scope="session", autouse=True)
def own_signing_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONOPS_HOME", str(tmp_path_factory.mktemp("home")))
        load_settings.cache_clear()
        yield
    load_settings.cache_clear()
