"""The runner of mutants: what it changes, what it leaves alone, and which tests it finds."""

import ast
from pathlib import Path

import pytest

from tests.mutants import choosing
from tests.mutants.__main__ import (
    Trial,
    drawn,
    listed,
    outcome_of,
    wrong_without_a_change,
)
from tests.mutants.changes import Mutant, changes
from tests.mutants.choosing import ROOT, nearest_tests, pure_modules

GATE = "visionops_assets/stages/evaluation/rules.py"


def made(source: str) -> set[str]:
    """Return every module that one change makes of a source; each must be Python."""
    data = source.encode()
    texts = {
        (data[: m.start] + m.now.encode() + data[m.end :]).decode() for m in changes("m.py", data)
    }
    for text in texts:
        ast.parse(text)
    assert source not in texts
    return texts


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = (a <= b)"}),
        ("x = ä <= b < c", {"x = (ä < b < c)", "x = (ä <= b <= c)"}),
        ("x = a is not None", {"x = (a is None)"}),
        ("x = a and b and c", {"x = (a or b or c)", "x = (b and c)", "x = (a and c)",
                               "x = (a and b)"}),
        ("x = not a", {"x = (a)"}),
        ("x = a + b * c", {"x = (a - b * c)", "x = a + (b / c)"}),
        ("x = 'a' + b", set()),
        ("x = 3", {"x = (4)"}),
        ("x = 300", {"x = (600)"}),
        ("x = 0.5", {"x = (1.0)"}),
        ("x = 0.0", {"x = (1.0)"}),
        ("x = True", {"x = (False)"}),
        ("x = min(a)", {"x = (max)(a)"}),
        ("x = a if b else c", {"x = (a)", "x = (c)"}),
        ("if a:\n    b()", {"if (not a):\n    b()", "if a:\n    pass"}),
        ("a.b(c)", {"pass"}),
        ("a += b", {"pass"}),
        ("raise a", {"pass"}),
        ("_log.info(a)", set()),
        ("crash_point(a)", set()),
        ("if a:\n    _log.info(b)\n    crash_point(c)", set()),
        ("if a:\n    _log.info(3)\nelse:\n    b = 3",
         {"if (not a):\n    _log.info(3)\nelse:\n    b = 3",
          "if a:\n    _log.info(3)\nelse:\n    b = (4)"}),
        ("SEED = 0", set()),
        ("x = np.random.default_rng(0)", set()),
        ("while a:\n    continue", {"while (not a):\n    continue", "while a:\n    break"}),
        ('"""Doc 3."""', set()),
        ("assert a < b", set()),
        ("x = f'{a + b}'", set()),
        ("def f(a: Annotated[int, 3]) -> int: ...", set()),
        ("@cache(3)\ndef f(): ...", set()),
    ],
)  # fmt: skip
def test_these_changes_are_made_and_no_others(source: str, expected: set[str]) -> None:
    assert made(source) == expected


def test_every_change_of_the_code_is_python_and_is_one() -> None:
    for path in pure_modules()[::10]:
        data = (ROOT / path).read_bytes()
        for mutant in changes(path, data):
            changed = data[: mutant.start] + mutant.now.encode() + data[mutant.end :]
            ast.parse(changed)
            assert changed != data


def test_the_nearest_tests_come_first() -> None:
    assert nearest_tests(GATE)[0] == "tests/stages/test_evaluation.py"
    assert nearest_tests("visionops_assets/vision/headers.py")[0] == "tests/vision/test_headers.py"
    # Of many tests that name it through a helper, those that name it themselves.
    assert "tests/vision/test_preprocessing.py" in nearest_tests(
        "visionops_assets/vision/framing.py"
    )
    # What runs in a child is known by its name alone.
    assert "tests/vision/test_sandbox.py" in nearest_tests("visionops_assets/vision/complaints.py")
    assert "tests/triton_models/test_recorder.py" in nearest_tests(
        "triton_models/classifier/recorder.py"
    )
    for path in (GATE, "visionops_assets/services/relay.py"):
        assert not [test for test in nearest_tests(path) if "integration" in test]


def test_pure_modules_act_on_nothing() -> None:
    found = pure_modules()
    assert {GATE, "visionops_assets/vision/splits.py"} <= set(found)
    assert "visionops_assets/releasing/rollouts.py" not in found, "it is of the catalog"
    assert "visionops_assets/vision/plots.py" not in found
    assert "visionops_assets/services/gateway/__main__.py" not in found


def test_equal_seeds_draw_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {GATE: set(range(1, 10_000))}
    monkeypatch.setattr("tests.mutants.__main__.changed_lines", lambda _base: lines)
    one, other, third = ([trial.mutant for trial in drawn(40, seed, "main")] for seed in (1, 1, 2))
    assert one == other != third
    assert len(set(one)) == 40
    assert sum(mutant.path == GATE for mutant in one) >= 20, "half are of the branch"


def test_lines_of_the_branch_are_read_from_the_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    diff = (
        "+++ b/visionops_assets/errors.py\n@@ -3,0 +4,2 @@ x\n@@ -9 +11 @@\n@@ -20,2 +21,0 @@\n"
        "+++ b/tests/conftest.py\n@@ -1 +1 @@\n+++ b/visionops_assets/gone.py\n@@ -1 +1 @@\n"
    )

    class Ran:
        stdout = diff

    monkeypatch.setattr(choosing.subprocess, "run", lambda *_, **__: Ran)  # type: ignore[attr-defined]
    assert choosing.changed_lines("main") == {"visionops_assets/errors.py": {4, 5, 11}}


def test_every_listed_change_still_has_its_place() -> None:
    """Whoever changes one of these lines changes the list, too."""
    trials = listed()
    assert len(trials) > 40
    assert all((ROOT / test).exists() for trial in trials for test in trial.tests)


def test_a_listed_change_has_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "listed.toml"
    monkeypatch.setattr("tests.mutants.__main__.LISTED", file)
    file.write_text(f'[[mutant]]\npath = "{GATE}"\nwas = "interval.low >= limit"\nnow = "True"\n')
    [trial] = listed()
    assert trial.mutant.line > 1
    file.write_text(f'[[mutant]]\npath = "{GATE}"\nwas = "interval"\nnow = "True"\n')
    with pytest.raises(ValueError, match="places with"):
        listed()


def test_what_no_test_noticed_is_listed_with_its_place() -> None:
    trials = [
        Trial(Mutant("a.py", line, 0, 1, "a\n  < b", "(a <= b)"), ["t.py"]) for line in (1, 2)
    ]
    outcome = outcome_of([*trials, trials[0]], ["noticed", "survived", "timed out"])
    assert outcome.tried == 3
    assert outcome.share == pytest.approx(2 / 3)
    [survivor] = outcome.survivors
    assert survivor["change"] == "a.py:2: a < b  ->  (a <= b)"


class Runs:
    """Runs of tests: `together` are said to fail in the first, `alone` in the next."""

    def __init__(self, together: list[str], alone: bool) -> None:
        self.left = [(1, [f"FAILED {each} - assert 0" for each in together]), (int(alone), [])]
        self.asked: list[list[str]] = []

    def run(self, tests: list[str], limit_s: float, *options: str, log: str) -> int:
        self.asked.append(tests)
        status, lines = self.left.pop(0)
        Path(log).write_text("\n".join([". . F", *lines, "3 failed"]))
        return status


@pytest.mark.parametrize("alone", [False, True])
def test_what_fails_beside_others_is_tried_alone(tmp_path: Path, alone: bool) -> None:
    tree, failed = Runs(["t.py::test_a[1-a b]", "t.py::test_b"], alone), tmp_path / "log"
    said = wrong_without_a_change(tree, ["t.py", "u.py"], 2, failed)  # type: ignore[arg-type]
    assert tree.asked == [["t.py", "u.py"], ["t.py::test_a[1-a b]", "t.py::test_b"]]
    assert bool(said) == alone


@pytest.mark.parametrize("names", [[], [f"t.py::test_{number}" for number in range(10)]])
def test_what_is_wrong_at_large_is_not_tried_again(tmp_path: Path, names: list[str]) -> None:
    tree = Runs(names, alone=False)
    assert wrong_without_a_change(tree, ["t.py"], 2, tmp_path / "log")  # type: ignore[arg-type]
    assert len(tree.asked) == 1
