"""The instance that `dagster dev` shares with a running stack."""

from pathlib import Path

import pytest
from dagster._core.instance import InstanceRef
from dagster._daemon.daemon import SensorDaemon
from dagster._serdes import serialize_value

from visionops_assets.errors import ServerUnreachableError
from visionops_assets.settings import load_settings
from visionops_assets.stack.attaching import AttachedInstance, AttachedLogs, AttachedStorage
from visionops_assets.stack.paths import Paths

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRETS = {"S3_ACCESS_KEY_ID": "id-secret", "S3_SECRET_ACCESS_KEY": "key-secret"}


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceRef:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    url = "postgresql+psycopg2://u:pw-secret@127.0.0.1:1/dagster"
    monkeypatch.setenv("VISIONOPS_DAGSTER_POSTGRES_URL", url)
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"VISIONOPS_{name}", value)
    load_settings.cache_clear()
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((DEPLOY / "dagster-attached.yaml").read_text())
    return InstanceRef.from_dir(str(home))


def test_its_daemon_leaves_sensors_and_the_queue_to_the_stacks(reference: InstanceRef) -> None:
    assert reference.custom_instance_class is AttachedInstance
    types = AttachedInstance.get_required_daemon_types(object.__new__(AttachedInstance))
    # Without any, the daemon of `dagster dev` would end, and `dagster dev` with it.
    assert types
    assert not {SensorDaemon.daemon_type(), "QUEUED_RUN_COORDINATOR", "MONITORING"} & set(types)


def test_its_logs_are_those_of_the_stack(reference: InstanceRef, tmp_path: Path) -> None:
    logs = reference.compute_log_manager
    assert isinstance(logs, AttachedLogs)
    key = ["run", "compute_logs", "step"]
    assert logs.local_manager.get_captured_local_path(key, "out").startswith(
        str(Paths(tmp_path).dagster)
    )
    credentials = logs._s3_session._request_signer._credentials
    assert (credentials.access_key, credentials.secret_key) == tuple(SECRETS.values())


def test_what_dagster_shows_on_its_command_lines_holds_no_secret(reference: InstanceRef) -> None:
    assert "-secret" not in serialize_value(reference)


def test_a_stopped_stack_is_one_sentence(
    reference: InstanceRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_postgres.utils.time.sleep", lambda _: None)
    with pytest.raises(ServerUnreachableError, match="visionops up"):
        AttachedStorage.from_config_value(None, {})
