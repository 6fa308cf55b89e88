"""Adds the generated reference and the documents kept elsewhere to the site."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from reference_pages import (
    alerts,
    assets,
    commands,
    errors,
    grpc,
    http,
    metrics,
    models,
    ports,
    settings,
)

ROOT = Path(__file__).parents[1]

GENERATED: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings.build,
    "reference/models.md": models.build,
    "reference/commands.md": commands.build,
    "reference/http.md": http.build,
    "reference/grpc.md": grpc.build,
    "reference/metrics.md": metrics.build,
    "reference/alerts.md": alerts.build,
    "reference/errors.md": errors.build,
    "reference/ports.md": ports.build,
    "reference/assets.md": assets.build,
}
KEPT_ELSEWHERE = {
    "how-to/runbooks.md": "deploy/RUNBOOKS.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages before the site's navigation is made and its links are checked."""
    for path, build in GENERATED.items():
        files.append(File.generated(config, path, content=build()))
    for path, source in KEPT_ELSEWHERE.items():
        # Their links lead from the repository's root, where they lie.
        text = (ROOT / source).read_text().replace("](docs/", "](")
        files.append(File.generated(config, path, content=text))
    return files
