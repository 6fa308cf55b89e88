"""The folder beside a Triton server that it loads its models from, all of them verified.

    repository/<model>/<version>/     the champion and the version before
    repository/<model>/config.pbtxt   the champion's: it names the version that is loaded
    repository/<step>/...             the steps of ensembles
    draft/                            what is being written

A server may start at any moment: what a configuration names is there before the configuration is.
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from visionops_assets.releasing.loading import (
    CONFIG_FILE,
    ModelLoad,
    config_text,
    engine_loads,
    model_loads,
)
from visionops_assets.releasing.manifest import Files


class LocalRepository:
    """The models of one server; nobody else writes there, or to the folder above."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._draft = repository.with_name("draft")
        self._repository.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put_champion(self, model_name: str, version: int, files: Files) -> None:
        """Make a version what a starting server loads. The steps of an ensemble come before it."""
        load = model_loads(files, model_name, version)[-1]
        self._put(load, files[CONFIG_FILE])

    def put_steps(self, model_name: str, version: int, files: Files) -> list[str]:
        """Put the steps of an ensemble where the server finds them; return their names."""
        steps = model_loads(files, model_name, version)[:-1]
        for load in steps:
            self._put(load, files[f"{load.name.rpartition('-')[2]}.pbtxt"])
        return [load.name for load in steps]

    def put_engine(self, version: int, files: Files, engine_step: str, plan: bytes) -> None:
        """Put an engine of an ensemble's network where the server finds it."""
        load, _ = engine_loads(files, "", version, engine_step, plan)
        self._put(load, config_text(load))

    def keep(self, whole: Collection[str], versions: Mapping[str, Collection[int]]) -> None:
        """Remove all but what is kept whole, and these versions of models with more than one."""
        for model in self._repository.iterdir():
            if model.name not in whole and model.name not in versions:
                # Its configuration first: without it there is no model.
                (model / CONFIG_FILE).unlink(missing_ok=True)
                shutil.rmtree(model)
                continue
            if model.name in whole:
                continue
            found = [path for path in model.iterdir() if path.is_dir()]
            for folder in found if len(found) > 1 else []:
                if int(folder.name) not in versions[model.name]:
                    shutil.rmtree(folder)

    def _put(self, load: ModelLoad, config: bytes) -> None:
        model = self._repository / load.name
        wanted = {model / path: data for path, data in load.files.items()}
        if _are_there(wanted | {model / CONFIG_FILE: config}):
            return
        shutil.rmtree(self._draft, ignore_errors=True)
        for path, data in load.files.items():
            file = self._draft / path
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_bytes(data)
        model.mkdir(exist_ok=True, mode=0o700)
        for folder in self._draft.iterdir():
            shutil.rmtree(model / folder.name, ignore_errors=True)
            folder.rename(model / folder.name)
        draft = self._draft / CONFIG_FILE
        draft.write_bytes(config)
        draft.replace(model / CONFIG_FILE)


def _are_there(contents: Mapping[Path, bytes]) -> bool:
    """Say whether files have these contents: a server may be reading them just now."""
    return all(path.is_file() and path.read_bytes() == data for path, data in contents.items())
