"""The small changes that can be made to a module, found in its syntax tree."""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult,
}  # fmt: skip
SWAPPED_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "int"}
FEW = 10
_PLAIN_CONDITIONS = (ast.Name, ast.Attribute, ast.Call)
# Lines of logs, and the places where `make chaos` kills, which do nothing elsewhere.
NEEDLESS = {"log", "logger", "logging", "warnings", "traceback", "crash_point"}


class Mutant(NamedTuple):
    """One change: bytes `start` to `end` of a file become `now`. `line` is where, from 1."""

    path: str
    line: int
    start: int
    end: int
    was: str
    now: str


def changes(path: str, source: bytes) -> list[Mutant]:
    """Return every change of a module, in the order of its lines."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, now in _changes(tree):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        found.append(Mutant(path, node.lineno, start, end, source[start:end].decode(), now))
    return sorted(set(found), key=lambda mutant: (mutant.start, mutant.end, mutant.now))


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield nodes with what may stand in their place; of a node first, then of its parts."""
    if _is_needless(node):
        return
    change = _CHANGES.get(type(node))
    if change is not None and isinstance(node, ast.expr | ast.stmt):
        for now in change(node):
            yield node, f"({now})" if isinstance(node, ast.expr) else now
    if isinstance(node, ast.If | ast.While) and isinstance(node.test, _PLAIN_CONDITIONS):
        yield node.test, f"(not {ast.unparse(node.test)})"
    for part in _parts(node):
        yield from _changes(part)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that act: no annotations, decorators, texts or assertions."""
    skipped = {"annotation", "returns", "decorator_list", "type_comment"}
    if isinstance(node, ast.JoinedStr | ast.Assert):
        return
    for name, value in ast.iter_fields(node):
        if name not in skipped:
            yield from (v for v in (value if isinstance(value, list) else [value]) if _acts(v))


def _acts(value: object) -> bool:
    """Say whether a part does anything that could be wrong: a text by itself does nothing.

    Of seeds one is as good as another.
    """
    match value:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()):
            return "SEED" not in name
        case ast.Call(func=ast.Attribute(attr="default_rng")):
            return False
    return isinstance(value, ast.AST)


def _with(node: ast.AST, **fields: object) -> str:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return ast.unparse(changed)


def _comparison(node: ast.Compare) -> Iterator[str]:
    for index, operator in enumerate(node.ops):
        ops: list[ast.AST] = [*node.ops]
        ops[index] = SWAPPED[type(operator)]()
        yield _with(node, ops=ops)


def _arithmetic(node: ast.BinOp) -> Iterator[str]:
    texts = (ast.JoinedStr, ast.List, ast.Tuple)
    is_text = any(
        isinstance(side, texts) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )
    if type(node.op) in SWAPPED and not is_text:
        yield _with(node, op=SWAPPED[type(node.op)]())


def _conditions(node: ast.BoolOp) -> Iterator[str]:
    yield _with(node, op=SWAPPED[type(node.op)]())
    for dropped in node.values:
        kept = [value for value in node.values if value is not dropped]
        yield _with(node, values=kept) if len(kept) > 1 else ast.unparse(kept[0])


def _negation(node: ast.UnaryOp) -> Iterator[str]:
    if isinstance(node.op, ast.Not):
        yield ast.unparse(node.operand)


def _number(node: ast.Constant) -> Iterator[str]:
    if isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node.value, int):
        # One more of few is a boundary; of many it is next to nothing, but twice as many are not.
        yield str(node.value + 1 if node.value <= FEW else node.value * 2)
    elif isinstance(node.value, float):
        yield str(node.value * 2 or 1.0)


def _name(node: ast.Name) -> Iterator[str]:
    if node.id in SWAPPED_NAMES and isinstance(node.ctx, ast.Load):
        yield SWAPPED_NAMES[node.id]


def _choice(node: ast.IfExp) -> Iterator[str]:
    yield ast.unparse(node.body)
    yield ast.unparse(node.orelse)


def _call(node: ast.Expr) -> Iterator[str]:
    if isinstance(node.value, ast.Call):
        yield "pass"


def _is_needless(node: ast.AST) -> bool:
    """Say whether a statement, or each that a condition is about, writes to a log and no more.

    A place where `make chaos` kills is such a statement, too.
    """
    if isinstance(node, ast.If):
        return not node.orelse and all(map(_is_needless, node.body))
    if not isinstance(node, ast.Expr):
        return False
    names = {part.id.lower().strip("_") for part in ast.walk(node) if isinstance(part, ast.Name)}
    return bool(names & NEEDLESS)


def _statement(node: ast.AST) -> Iterator[str]:
    yield "pass"


_CHANGES: dict[type[ast.AST], Callable[..., Iterator[str]]] = {
    ast.Compare: _comparison,
    ast.BinOp: _arithmetic,
    ast.BoolOp: _conditions,
    ast.UnaryOp: _negation,
    ast.Constant: _number,
    ast.Name: _name,
    ast.IfExp: _choice,
    ast.Expr: _call,
    ast.Raise: _statement,
    ast.AugAssign: _statement,
    ast.Continue: lambda _: iter(["break"]),
}
