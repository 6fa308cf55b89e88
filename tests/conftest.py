"""What holds for every test."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.stacks"]


def pytest_configure() -> None:
    """Do not ignore SIGINT, as what is run in the background does.

    Dagster gives SIGTERM the handler of SIGINT, and processes that tests start would ignore both.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A busy machine is no failure of a test.
    settings.register_profile(
        "busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("busy machine")
