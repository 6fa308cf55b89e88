"""What is said where kubectl fails, hangs or is not there."""

from pathlib import Path

import pytest

from visionops_assets.cluster import kubectl
from visionops_assets.errors import ServerUnreachableError, StackError


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the only program on PATH beside the shell's; a test writes it."""
    path = tmp_path / "kubectl"
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return path


def test_an_overlay_that_cannot_be_rendered_is_named(program: Path) -> None:
    program.write_text("#!/bin/sh\necho 'no such overlay' >&2\nexit 1\n")
    with pytest.raises(StackError, match=r"/nowhere cannot be rendered: .*no such overlay"):
        kubectl.render(Path("/nowhere"))
    program.write_text("#!/bin/sh\necho 'kind: A'\necho ---\necho 'kind: B'\n")
    assert kubectl.render(Path("/somewhere")) == [{"kind": "A"}, {"kind": "B"}]


def test_a_cluster_that_does_not_answer_is_given_up(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(kubectl, "TIMEOUT_S", 0.2)
    with pytest.raises(ServerUnreachableError, match=r"`kubectl kustomize .*did not end"):
        kubectl.render(Path("/somewhere"))


def test_without_kubectl_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StackError, match="kubectl is not on PATH"):
        kubectl.render(Path("/somewhere"))
