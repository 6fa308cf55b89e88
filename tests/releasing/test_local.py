from pathlib import Path

import pytest

from tests.releasing.versions import ensemble, one_model, steps_of_version
from visionops_assets.releasing.local import LocalRepository


@pytest.fixture
def local(tmp_path: Path) -> LocalRepository:
    return LocalRepository(tmp_path / "repository")


def found(tmp_path: Path) -> dict[str, bytes]:
    repository = tmp_path / "repository"
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file()
    }


def test_a_starting_server_finds_what_it_would_be_sent(
    local: LocalRepository, tmp_path: Path
) -> None:
    files = one_model(3)
    local.put_champion("m", 3, files)
    assert found(tmp_path) == {
        "m/config.pbtxt": files["config.pbtxt"],
        "m/3/model.onnx": b"weights 3",
        "m/3/model.json": b"{}",
        "m/3/model.py": b"fused",
        "m/3/served.py": b"shared",
    }


def test_nobody_else_may_look_in(local: LocalRepository, tmp_path: Path) -> None:
    local.put_champion("m", 3, one_model(3))
    folders = [path for path in (tmp_path / "repository").rglob("*") if path.is_dir()]
    assert folders
    assert all(path.stat().st_mode & 0o077 == 0 for path in folders)


def test_steps_are_models_of_their_own(local: LocalRepository, tmp_path: Path) -> None:
    files = ensemble(3)
    assert set(local.put_steps("m", 3, files)) == steps_of_version(3)
    assert "m/config.pbtxt" not in found(tmp_path)
    assert found(tmp_path)["m-3-infer/1/model.py"] == b"infer"
    assert found(tmp_path)["m-3-infer/1/model.onnx"] == b"weights 3"
    assert found(tmp_path)["m-3-record/config.pbtxt"] == b"name: 'm-3-record'"
    local.put_champion("m", 3, files)
    assert found(tmp_path)["m/3/model.json"] == b"{}"
    assert found(tmp_path)["m/config.pbtxt"] == files["config.pbtxt"]


def test_the_version_before_stays_and_others_go(local: LocalRepository, tmp_path: Path) -> None:
    for version in (1, 2, 3):
        local.put_steps("m", version, ensemble(version))
        local.put_champion("m", version, ensemble(version))
    local.keep({*steps_of_version(2), *steps_of_version(3)}, {"m": {3, 2}})
    repository = tmp_path / "repository"
    assert {path.name for path in repository.iterdir()} == {
        "m",
        *steps_of_version(2),
        *steps_of_version(3),
    }
    assert {path.name for path in (repository / "m").iterdir()} == {"2", "3", "config.pbtxt"}
    local.keep((), {})
    assert found(tmp_path) == {}


def test_what_is_there_already_is_not_touched(local: LocalRepository, tmp_path: Path) -> None:
    """A server may be reading it."""
    local.put_champion("m", 3, one_model(3))
    file = tmp_path / "repository" / "m" / "3" / "model.onnx"
    before = file.stat()
    local.put_champion("m", 3, one_model(3))
    assert file.stat().st_ino == before.st_ino
    file.write_bytes(b"altered")
    local.put_champion("m", 3, one_model(3))
    assert file.read_bytes() == b"weights 3"


def test_a_configuration_comes_after_what_it_names(
    local: LocalRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.put_champion("m", 1, one_model(1))
    configuration = found(tmp_path)["m/config.pbtxt"]

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        local.put_champion("m", 2, one_model(2))
    assert found(tmp_path)["m/2/model.onnx"] == b"weights 2"
    assert found(tmp_path)["m/1/model.onnx"] == b"weights 1"
    assert found(tmp_path)["m/config.pbtxt"] == configuration
