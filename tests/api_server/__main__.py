"""`make crds`: a real API server takes every custom resource, and none of the spoiled ones."""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from tests.api_server.building import CannotBuildError, built
from tests.api_server.definitions import definition
from tests.api_server.server import ApiServer, running
from tests.api_server.spoiling import breaches
from tests.deploy.custom_resources import group, is_custom
from tests.deploy.manifests import OVERLAYS, Manifest, rendered

BUILD = Path("build").resolve()


def main() -> int:
    """Apply all; return 0 if each was answered as it must be."""
    console = Console(markup=False)
    try:
        programs = built(BUILD / "api-server", console)
    except CannotBuildError as error:
        console.print(str(error))
        return 2
    found = {overlay: [m for m in rendered(overlay) if is_custom(m)] for overlay in OVERLAYS}
    wrong: list[str] = []
    kinds = sorted({(m["kind"], group(m)) for each in found.values() for m in each})
    with (
        tempfile.TemporaryDirectory(prefix="visionops-api-server-") as home,
        running(*programs, Path(home)) as server,
    ):
        for kind, its_group in kinds:
            server.define(definition(kind, its_group))
        counts = {overlay: _apply(server, found[overlay], wrong) for overlay in OVERLAYS}
    report = {"definitions": len(kinds), "overlays": counts, "wrong": wrong}
    (BUILD / "crds.json").write_text(json.dumps(report, indent=2) + "\n")
    console.print_json(data=report)
    return 1 if wrong else 0


def _apply(server: ApiServer, manifests: list[Manifest], wrong: list[str]) -> dict[str, int]:
    """Apply an overlay, twice, and spoiled copies; add what was not answered rightly to `wrong`."""
    count: Counter[str] = Counter()
    for manifest in [*manifests, *manifests]:
        refusal = server.refusal_of(manifest)
        count["refused" if refusal else "taken"] += 1
        if refusal:
            wrong.append(refusal)
    for manifest, expected in breaches(manifests):
        refusal = server.refusal_of(manifest) or "none"
        count["spoiled and refused"] += expected in refusal
        if expected not in refusal:
            wrong.append(f"{manifest['kind']}: {expected!r} expected, and said was: {refusal}")
    return dict(count)


if __name__ == "__main__":
    sys.exit(main())
