"""The input of the modules that describe servers: settings, ports, and external servers."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visionops_assets.errors import StackError
from visionops_assets.settings import Settings


@dataclass(frozen=True)
class Plan:
    """The settings of one stack, the ports chosen for it, and the settings given from outside."""

    settings: Settings
    ports: Mapping[str, int]
    external: frozenset[str]

    @property
    def home(self) -> Path:
        """Return the state folder."""
        return self.settings.home

    def is_external(self, *fields: str) -> bool:
        """Say whether the environment gives all of these address settings."""
        return self.external.issuperset(fields)

    @property
    def s3_credentials(self) -> dict[str, str]:
        """Return the store's keys, under the names that every S3 client reads."""
        settings = self.settings
        # Without this, clients look for an instance role first and wait for it to time out.
        env = {"AWS_REGION": settings.s3_region, "AWS_DEFAULT_REGION": settings.s3_region}
        if settings.s3_endpoint_url:
            env["AWS_EC2_METADATA_DISABLED"] = "true"
        if settings.s3_access_key_id and settings.s3_secret_access_key:
            env["AWS_ACCESS_KEY_ID"] = settings.s3_access_key_id.get_secret_value()
            env["AWS_SECRET_ACCESS_KEY"] = settings.s3_secret_access_key.get_secret_value()
        return env


def program(name: str) -> str:
    """Return the path of a program that was installed beside this Python.

    Raises:
        StackError: it is not installed.

    """
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise StackError(f"`{name}` is not installed beside {sys.executable}. Run `make install`.")
    return str(path)
