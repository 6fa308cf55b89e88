"""Which modules are changed, and which tests matter for each."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PURE_ROOMS = ("contracts", "settings", "vision", "tasks", "capacity")
MAY_BE_PURE = (
    *(f"visionops_assets/{room}" for room in ("releasing", "monitoring", "stages", "services")),
    "triton_models",
)
# A module that imports one of these acts on the world: integration tests hold it.
ACTS = {
    "alembic", "asyncio", "boto3", "dagster", "fastapi", "httpx", "kafka", "mlflow", "obstore",
    "psycopg", "socket", "sqlalchemy", "starlette", "subprocess", "tritonclient", "typer",
    "uvicorn", "websockets",
}  # fmt: skip
# Tests hold what pictures say, and not the width of each line. A program's start is `serve` alone.
LEFT_OUT = ("plots", "drawing", "__main__")
NO_UNIT_TESTS = {"integration", "chaos", "hosts", "acceptance", "attacks", "structure", "mutants"}
MAX_TEST_FILES = 6
MAX_STEPS = 4


def pure_modules() -> list[str]:
    """Return the paths of the pure rooms' modules, and of the pure modules of some others."""
    rooms = [f"visionops_assets/{room}" for room in PURE_ROOMS]
    pure = [path for room in rooms for path in _modules_below(room)]
    for room in MAY_BE_PURE:
        pure += [path for path in _modules_below(room) if not _foreign(path) & ACTS]
    return sorted(path for path in pure if not Path(path).stem.endswith(LEFT_OUT))


def changed_lines(base: str) -> dict[str, set[int]]:
    """Return the lines by module that differ from the commit where the branch left `base`."""
    command = ["git", "diff", "--unified=0", "--merge-base", base, "--", "*.py"]
    diff = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    lines: dict[str, set[int]] = {}
    path = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
        elif line.startswith("@@") and path.startswith(("visionops_assets/", "triton_models/")):
            first, _, count = line.split("+")[1].split(" ")[0].partition(",")
            lines.setdefault(path, set()).update(range(int(first), int(first) + int(count or 1)))
    return {path: numbers for path, numbers in lines.items() if (ROOT / path).exists()}


def nearest_tests(path: str) -> list[str]:
    """Return the files of unit tests that matter for a module, the nearest first.

    Those that bear the name of its room come first, then those that name the module, then those
    that name what imports it. Only where there are neither, more steps lie between, as for what
    runs in a process of its own.
    """
    levels = _importers(path)
    # Helpers beside a test name much that it is not about: that is a step more.
    near = {
        test: min(levels[each] + (each not in _imports(test)) for each in found)
        for test in _unit_tests()
        if (found := _reached(test) & levels.keys())
    }
    room = Path(path).parts[-2 if path.startswith("triton_models") else 1]
    if not near:  # Triton alone imports it
        near = {test: 0 for test in _unit_tests() if Path(path).parts[0] in Path(test).parts}

    def rank(test: str) -> tuple[bool, int, bool, bool, bool, int, str]:
        of_level = [each for each, level in levels.items() if level <= near[test]]
        words = {word for each in of_level for word in Path(each).stem.split("_")}
        of_test = Path(test).stem.split("_")[1:]
        return (
            room not in of_test,
            near[test],
            room not in Path(test).parts,
            not words & set(of_test),
            # A test that names much is not about each of it.
            not _imports(test) & set(of_level),
            len(_imports(test)),
            test,
        )

    most = max(1, min(near.values(), default=0))
    return sorted((test for test in near if near[test] <= most), key=rank)[:MAX_TEST_FILES]


def _importers(path: str) -> dict[str, int]:
    """Return a module and what imports it, each with the number of steps between."""
    levels, last = {path: 0}, {path}
    for level in range(1, MAX_STEPS + 1):
        last = {each for each in _our_modules() if _imports(each) & last} - levels.keys()
        levels |= dict.fromkeys(last, level)
    return levels


@cache
def _our_modules() -> list[str]:
    return [*_modules_below("visionops_assets"), *_modules_below("triton_models")]


@cache
def _unit_tests() -> list[str]:
    found = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))
    return [str(path) for path in found if path.parts[1] not in NO_UNIT_TESTS]


@cache
def _reached(test: str) -> frozenset[str]:
    """Return our modules that a test names, itself or by the helpers and fixtures beside it."""
    seen, waiting, reached = set(), [test, str(Path(test).parent / "conftest.py")], set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).exists():
            continue
        seen.add(path)
        for imported in _imports(path):
            if imported.startswith("tests/"):
                waiting.append(imported)
            else:
                reached.add(imported)
    return frozenset(reached)


@cache
def _imports(path: str) -> frozenset[str]:
    return frozenset(found for name in _imported(path) if (found := _path_of(name)) is not None)


@cache
def _foreign(path: str) -> set[str]:
    return {name.partition(".")[0] for name in _imported(path)}


def _imported(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("visionops_assets."):
            yield f"{node.value!s}.main"  # a module that a child runs


@cache
def _path_of(name: str) -> str | None:
    """Return the file that holds a dotted name of ours; of what a package gives on, its origin."""
    if name.partition(".")[0] not in {"visionops_assets", "triton_models", "tests"}:
        return None
    parts = name.split(".")
    if len(parts) == 1:
        return None  # a package alone
    for path in (Path(*parts).with_suffix(".py"), Path(*parts[:-1]).with_suffix(".py")):
        if (ROOT / path).exists():
            return str(path)
    package = Path(*parts[:-1]) / "__init__.py"
    if not (ROOT / package).exists():
        return None
    given_on = [each for each in _imported(str(package)) if each.endswith(f".{parts[-1]}")]
    return _path_of(given_on[0]) if given_on and given_on[0] != name else str(package)


def _modules_below(folder: str) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / folder).rglob("*.py"))]
