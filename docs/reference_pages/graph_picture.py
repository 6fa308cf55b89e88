"""Draws a graph as SVG: a row per layer, so that every arrow leads down.

A few lines of our own: MkDocs would fetch Mermaid from a CDN, and Graphviz is not everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from operator import itemgetter

_WIDTH_PX, _HEIGHT_PX, _GAP_X_PX, _GAP_Y_PX, _MARGIN_PX = 190, 30, 16, 30, 6
_COLOURS = ("#3f6fb5", "#3a8f6a", "#8a5fb0", "#b5703f", "#a84a64", "#5c6b7a")

Place = tuple[float, float]
"""Left and top of a node, in pixels."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name, the group that colours it, and the names of its parents.

    A node that is not `is_ours` is drawn with a dashed border.
    """

    name: str
    group: str
    parents: tuple[str, ...]
    is_ours: bool = True


def picture(nodes: Sequence[Node]) -> str:
    """Return the graph as an SVG element. Parents come before their children in `nodes`."""
    places = _placed(nodes)
    groups = list(dict.fromkeys(node.group for node in nodes))
    colours = {group: _COLOURS[i % len(_COLOURS)] for i, group in enumerate(groups)}
    width = max(x for x, _ in places.values()) + _WIDTH_PX + _MARGIN_PX
    height = max(y for _, y in places.values()) + _HEIGHT_PX + _MARGIN_PX
    arrows = [
        _arrow(places[parent], places[node.name])
        for node in nodes
        for parent in node.parents
        if parent in places
    ]
    boxes = [_box(node, places[node.name], colours[node.group]) for node in nodes]
    shapes = "".join([*arrows, *boxes])
    return (
        f'<svg class="graph" role="img" aria-label="Asset graph" viewBox="0 0 {width} {height}" '
        f'xmlns="http://www.w3.org/2000/svg">{shapes}</svg>'
    )


def _placed(nodes: Sequence[Node]) -> Mapping[str, Place]:
    """Give each node a place in its layer's row, beneath its parents where there is room."""
    layers: dict[int, list[str]] = {}
    for name, layer in sorted(_depths(nodes).items(), key=itemgetter(1)):
        layers.setdefault(layer, []).append(name)
    widest = max(map(len, layers.values()))
    parents = {node.name: node.parents for node in nodes}
    step = _WIDTH_PX + _GAP_X_PX
    places: dict[str, Place] = {}
    for layer, names in layers.items():

        def middle_of_parents(name: str) -> float:
            above = [places[parent][0] for parent in parents[name] if parent in places]
            return sum(above) / len(above) if above else 0.0

        for column, name in enumerate(sorted(names, key=middle_of_parents)):
            x = _MARGIN_PX + (column + (widest - len(names)) / 2) * step
            places[name] = x, _MARGIN_PX + layer * (_HEIGHT_PX + _GAP_Y_PX)
    return places


def _depths(nodes: Sequence[Node]) -> Mapping[str, int]:
    """Return the layer of each node: below its parents; without any, above its first child."""
    depths: dict[str, int] = {}
    for node in nodes:
        depths[node.name] = max((depths.get(name, -1) for name in node.parents), default=-1) + 1
    for node in nodes:
        below = [depths[child.name] for child in nodes if node.name in child.parents]
        if not node.parents and below:
            depths[node.name] = max(0, min(below) - 1)
    return depths


def _arrow(start: Place, end: Place) -> str:
    x1, y1 = start[0] + _WIDTH_PX / 2, start[1] + _HEIGHT_PX
    x2, y2 = end[0] + _WIDTH_PX / 2, end[1]
    bend = _GAP_Y_PX / 2
    curve = f"M{x1},{y1} C{x1},{y1 + bend} {x2},{y2 - bend} {x2},{y2 - 5}"
    head = f"M{x2 - 4},{y2 - 6} L{x2},{y2} L{x2 + 4},{y2 - 6} Z"
    return (
        f'<path d="{curve}" fill="none" stroke="#8895a7" stroke-width="1.5"/>'
        f'<path d="{head}" fill="#8895a7"/>'
    )


def _box(node: Node, place: Place, colour: str) -> str:
    x, y = place
    dashes = "" if node.is_ours else ' stroke-dasharray="4 3"'
    fill = colour if node.is_ours else "none"
    text = "#fff" if node.is_ours else "currentColor"
    return (
        f'<g><title>{escape(node.group)}</title><rect x="{x}" y="{y}" width="{_WIDTH_PX}" '
        f'height="{_HEIGHT_PX}" rx="6" fill="{fill}" stroke="{colour}"{dashes}/>'
        f'<text x="{x + _WIDTH_PX / 2}" y="{y + _HEIGHT_PX / 2 + 4}" font-size="12" '
        f'text-anchor="middle" fill="{text}">{escape(node.name)}</text></g>'
    )
