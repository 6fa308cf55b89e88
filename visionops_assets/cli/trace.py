"""`visionops trace KIND ID`: what anything came from, and what came of it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.tree import Tree

from visionops_assets.cli.screen import AsJson, cell, console, moment, print_json, printable
from visionops_assets.errors import InvalidRequestError
from visionops_assets.lineage.records import Direction, Kind

if TYPE_CHECKING:
    from visionops_assets.lineage.records import Branch, Node, Trace

SHOWN_FACTS = 6
"""Facts of a node in the tree; `--json` has all."""


def trace(
    kind: Annotated[Kind, typer.Argument(help="Kind of the thing.", show_default=False)],
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Its id; of a model NAME:VERSION, or NAME for the one that serves.",
            show_default=False,
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Only what it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came of it.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Nodes of its own lists.")] = 10,
    list_: Annotated[
        str | None,
        typer.Option(
            "--list",
            metavar="NAME",
            help="Only this list of it, by pages: such as predictions of a model.",
            show_default=False,
        ),
    ] = None,
    cursor: Annotated[
        str | None,
        typer.Option(help="With --list: the page after one, as that says.", show_default=False),
    ] = None,
    openlineage: Annotated[
        bool, typer.Option("--openlineage", help="Print it as OpenLineage events, one per line.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Trace a thing to what it came from, up to the source, and to all that came of it."""
    if cursor is not None and list_ is None:
        raise InvalidRequestError("--cursor is of one list: name it with --list.")
    if openlineage and list_ is not None:
        raise InvalidRequestError("--openlineage is of a trace, and not of one list.")
    if list_ is not None:
        _print_list(kind, id_, list_, limit, cursor, as_json=as_json)
        return
    chosen = tuple(d for d, asked in ((Direction.UP, up), (Direction.DOWN, down)) if asked)
    found = _traced(kind, id_, chosen or tuple(Direction), limit)
    if openlineage:
        from visionops_assets.lineage.openlineage import events_of
        from visionops_assets.settings import load_settings

        for event in events_of(found, load_settings()):
            print_json(event)
    elif as_json:
        print_json(found)
    else:
        _print_trees(found)


def _traced(kind: Kind, text: str, directions: tuple[Direction, ...], limit: int) -> "Trace":
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.lineage.tracing import Wanted, trace

    with Catalog().begin() as session:
        return trace(session, kind, text, Wanted(directions, limit))


def _print_list(
    kind: Kind, text: str, name: str, limit: int, cursor: str | None, *, as_json: bool
) -> None:
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.lineage.tracing import trace_list

    with Catalog().begin() as session:
        branch = trace_list(session, kind, text, name, limit, cursor)
    if as_json:
        print_json(branch)
        return
    tree = Tree(f"{kind.value} [bold]{printable(text)}[/bold]", highlight=False)
    _add(tree, branch)
    console.print(tree)
    if branch.cursor is not None:
        page = f"visionops trace {kind.value} {text} --list {name} --cursor {branch.cursor}"
        console.print(f"The next page: {printable(page)}", soft_wrap=True, highlight=False)


def _print_trees(found: "Trace") -> None:
    for direction, root in ((Direction.UP, found.up), (Direction.DOWN, found.down)):
        if root is None:
            continue
        heading = "came from" if direction is Direction.UP else "came to"
        tree = Tree(f"{_line(root)}  [dim]{heading}[/dim]", highlight=False)
        for branch in root.branches:
            _add(tree, branch)
        if not root.branches:
            tree.add("[dim]nothing[/dim]")
        console.print(tree)
    for note in found.notes:
        typer.echo(f"visionops: {note}", err=True)


def _add(tree: Tree, branch: "Branch") -> None:
    """Add a list to a tree: each node with what follows, and how many more there are."""
    for node in branch.nodes:
        under = tree.add(f"[dim]{branch.says}[/dim] {_line(node)}")
        for following in node.branches:
            _add(under, following)
    more = branch.count - len(branch.nodes)
    if branch.cursor is not None:
        least = "" if branch.is_counted else "more than "
        tree.add(f"[dim]and {least}{more:,} more: --list {branch.name}[/dim]")


def _line(node: "Node") -> str:
    """Describe a node in one line."""
    facts = [f"{name} {cell(value)}" for name, value in node.facts.items()][:SHOWN_FACTS]
    time = [moment(node.at)] if node.at else []
    pages = [_page(name, url) for name, url in node.links.items()]
    marks = ["see above"] * node.is_above + ["trace it for more"] * node.is_cut
    parts = [*time, *facts, *pages, *marks]
    tail = f"  [dim]{' · '.join(parts)}[/dim]" if parts else ""
    return f"{node.kind} [bold]{printable(node.id)}[/bold]{tail}"


def _page(name: str, url: str) -> str:
    """Name a page: a link in a terminal, the address where that would be lost."""
    if console.is_terminal:
        return f"[link={url}]{name}[/link]"
    return f"{name} {printable(url)}"
