"""Which decisions put what lies downstream out of date."""

from typing import Any

import pytest
from dagster._core.definitions.data_version import DEFAULT_DATA_VERSION

from visionops_assets.catalog.schema import Decision
from visionops_assets.contracts import Outcome
from visionops_assets.stages.monitoring import decision


def version_after(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome) -> str:
    """Return the data version when these were decided, one after the other."""
    decided = [Decision(decision_id=i, outcome=one) for i, one in enumerate(outcomes, start=1)]

    def newest(_session: Any, _model_name: str, outcome: Outcome) -> Decision | None:
        return next((one for one in reversed(decided) if one.outcome == outcome), None)

    monkeypatch.setattr(decision, "newest_decision", newest)
    session: Any = None
    return decision._data_version(session, "model").value


def test_to_wait_or_to_ask_for_labels_changes_nothing_downstream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undecided = version_after(monkeypatch)
    assert version_after(monkeypatch, Outcome.WAIT, Outcome.ASK_FOR_LABELS) == undecided
    retrained = version_after(monkeypatch, Outcome.WAIT, Outcome.RETRAIN)
    assert version_after(monkeypatch, Outcome.WAIT, Outcome.RETRAIN, Outcome.WAIT) == retrained


def test_a_first_measurement_puts_nothing_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made before it has noted Dagster's version of an input that is not there yet."""
    assert version_after(monkeypatch, Outcome.WAIT) == DEFAULT_DATA_VERSION.value


def test_each_decision_that_is_acted_on_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [Outcome.RETRAIN, Outcome.ROLL_BACK, Outcome.RETRAIN]
    versions = {version_after(monkeypatch, *outcomes[:count]) for count in range(4)}
    assert len(versions) == 4
