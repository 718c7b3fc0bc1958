"""Draw the layers of the package from its code: ``python docs/architecture_drawing.py`` updates the drawing and its table.

Floors come from the ``layers`` contract in ``pyproject.toml``, arrows from the import statements of the code, and sentences
from docstrings, so none of them can disagree with the code. The page is laid out as layered graphs usually are (Sugiyama,
Tagawa & Toda, *IEEE Transactions on Systems, Man, and Cybernetics* 11, 1981, 109-125): an arrow over several floors passes
through a waypoint on each of them, nodes of a floor are sorted to reduce crossings, then moved to straighten arrows.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

__all__ = ["floors", "imports", "layers_markdown", "layers_svg", "main"]

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "pathlen"
PAGE = PROJECT / "docs" / "explanation" / "architecture.md"
DRAWING = PAGE.with_name("layers.svg")
BEGIN, END = "<!-- layers -->\n", "<!-- /layers -->"

WIDTH, LEFT, RIGHT = 900, 52, 884
BOX_WIDTH, BOX_HEIGHT, FLOOR_HEIGHT, GAP = 132, 36, 76, 44
FOOT = 14  # for the note below the lowest boxes
PORT_DISTANCE = 16  # between arrows that start or end at one box
SWEEPS = 40
FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
INK, QUIET, LINE, ARROW = "#1f2933", "#65727f", "#4a6fa5", "#5b6b7c"
BANDS, FOLDER, MODULE = ("#f6f8fa", "#eceff3"), "#dbe8f7", "#ffffff"


@dataclass(frozen=True, slots=True)
class Node:
    """A box, or a waypoint of an arrow that passes a floor (then ``name`` is that of the arrow)."""

    name: str
    floor: int
    is_box: bool = True

    @property
    def width(self) -> int:
        """The horizontal space it takes."""
        return BOX_WIDTH if self.is_box else 4


def floors() -> list[tuple[str, ...]]:
    """Return the names of folders and modules on each floor, the lowest floor first."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers: list[str] = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return [tuple(name.strip() for name in layer.split("|")) for layer in reversed(layers)]


def imports() -> dict[str, set[str]]:
    """Return, for each folder and module beside ``__init__``, what else it imports from the package."""
    names = {name for floor in floors() for name in floor}
    return {
        name: {target for path in _files(name) for target in _imported(path) if target in names} - {name}
        for name in names
    }


def layers_svg() -> str:
    """Return the drawing: floors from the highest to the lowest, with an arrow from each box to what it imports.

    Imports from the lowest floor are left out, because almost every module has some, and so are imports that a path of
    other arrows already implies.
    """
    levels = floors()
    chains = _chains(levels)
    centres = _centres(levels, chains)
    height = FLOOR_HEIGHT * len(levels) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
        f'  role="img" aria-labelledby="layers-title layers-description" font-family="{FONT}">',
        '<title id="layers-title">The layers of pathlen</title>',
        f'<desc id="layers-description">{escape(_description(levels))}</desc>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        f'  <path d="M0 0.5 8 4 0 7.5z" fill="{ARROW}"/></marker></defs>',
    ]
    for floor in range(len(levels)):
        top = _middle(floor, len(levels)) - FLOOR_HEIGHT / 2
        band_height = FLOOR_HEIGHT + FOOT * (floor == 0)
        parts.append(f'<rect y="{top:g}" width="{WIDTH}" height="{band_height}" fill="{BANDS[floor % 2]}"/>')
        parts.append(_text(26, top + FLOOR_HEIGHT / 2 + 5, str(floor + 1), size=14, colour=QUIET))
    parts += [_arrow(chain, centres, chains, len(levels)) for chain in chains]
    parts += [_box(node, centre, len(levels)) for node, centre in centres.items() if node.is_box]
    note = "imported from every floor above; these arrows are left out"
    parts.append(_text((LEFT + RIGHT) / 2, height - 12, note, size=12, colour=QUIET))
    return "\n".join([*parts, "</svg>\n"])


def layers_markdown() -> str:
    """Return a table of the floors, the highest first: what each folder holds, and all that it imports."""
    imported = imports()
    position = {name: number for number, name in enumerate(name for floor in floors() for name in floor)}
    lines = ["| floor | where | what | imports |", "|---|---|---|---|"]
    for number, floor in reversed(list(enumerate(floors(), start=1))):
        for name in floor:
            targets = ", ".join(f"`{target}`" for target in sorted(imported[name], key=position.__getitem__))
            lines.append(f"| {number} | `{_where(name)}` | {_sentence(name)} | {targets or 'nothing'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the drawing, and its table into the page."""
    DRAWING.write_text(layers_svg(), encoding="utf-8")
    before, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} must have {BEGIN.strip()} and {END} around its table")
    PAGE.write_text(f"{before}{BEGIN}\n{layers_markdown()}\n{END}{after}", encoding="utf-8")


# What the code says.


def _files(name: str) -> list[Path]:
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def _where(name: str) -> str:
    return f"{name}/" if (PACKAGE / name).is_dir() else f"{name}.py"


def _imported(path: Path) -> Iterator[str]:
    """Yield the second part of every dotted name that a file imports from the package."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        dotted: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        for name in dotted:
            package, *parts = name.split(".")
            if package == PACKAGE.name and parts:
                yield parts[0]


def _sentence(name: str) -> str:
    """Return the first sentence of the docstring of a folder or a module, as Markdown."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    first = re.match(r".*?[.!?](?=\s|$)", paragraph)
    return (first[0] if first else paragraph).replace("``", "`").replace("|", "\\|")


def _arrows(levels: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Return importer and imported of every arrow: imports that no path of other imports implies."""
    shared = set(levels[0])
    direct = {name: targets - shared for name, targets in imports().items()}
    return [
        (name, target)
        for floor in levels
        for name in floor
        for target in sorted(direct[name])
        if not any(target in _reachable(other, direct) for other in direct[name] - {target})
    ]


def _reachable(start: str, direct: Mapping[str, set[str]]) -> set[str]:
    return direct[start].union(*(_reachable(target, direct) for target in direct[start]))


def _description(levels: Sequence[Sequence[str]]) -> str:
    from_top = "; ".join(", ".join(floor) for floor in reversed(levels))
    return f"Floors from the highest to the lowest: {from_top}. Arrows point from a box to what it imports."


# Where nodes lie.


def _chains(levels: Sequence[Sequence[str]]) -> list[list[Node]]:
    """Return the nodes that each arrow passes, from importer to imported, with a waypoint on every floor between."""
    floor_of = {name: number for number, floor in enumerate(levels) for name in floor}
    chains = []
    for source, target in _arrows(levels):
        between = range(floor_of[source] - 1, floor_of[target], -1)
        waypoints = [Node(f"{source} to {target}", number, is_box=False) for number in between]
        chains.append([Node(source, floor_of[source]), *waypoints, Node(target, floor_of[target])])
    return chains


def _links(chains: Iterable[Sequence[Node]]) -> list[tuple[Node, Node]]:
    return [link for chain in chains for link in pairwise(chain)]


def _centres(levels: Sequence[Sequence[str]], chains: Sequence[Sequence[Node]]) -> dict[Node, float]:
    """Return the horizontal centre of every node."""
    boxes = {Node(name, number): None for number, floor in enumerate(levels) for name in floor}
    nodes = list(boxes | {node: None for chain in chains for node in chain})
    links = _links(chains)
    rows = _ordered([[node for node in nodes if node.floor == number] for number in range(len(levels))], links)
    centres = dict.fromkeys(nodes, (LEFT + RIGHT) / 2)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wishes = [_wish(node, links, centres) for node in row]
            centres.update(zip(row, _spread(row, wishes), strict=True))
    linked = {node for link in links for node in link}
    ends = [centres[node] + side * node.width / 2 for node in linked for side in (-1, 1)]
    shift = (LEFT + RIGHT - min(ends) - max(ends)) / 2
    return {node: centre + shift * (node in linked) for node, centre in centres.items()}


def _ordered(rows: list[list[Node]], links: Sequence[tuple[Node, Node]]) -> list[list[Node]]:
    """Sort each row by the mean position of its neighbours on the next floor, up and down; keep the fewest crossings."""
    best, fewest = [list(row) for row in rows], _crossings(rows, links)
    for sweep in range(SWEEPS):
        numbers = range(len(rows)) if sweep % 2 else range(len(rows) - 1, -1, -1)
        for number in numbers:
            position = {node: index / max(1, len(row) - 1) for row in rows for index, node in enumerate(row)}
            came_from = number + (-1 if sweep % 2 else 1)
            wishes = {
                node: [position[other] for other in _neighbours(node, links) if other.floor == came_from]
                for node in rows[number]
            }
            rows[number].sort(key=lambda node: fmean(wishes[node] or [position[node]]))
        if (crossings := _crossings(rows, links)) < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _neighbours(node: Node, links: Sequence[tuple[Node, Node]]) -> list[Node]:
    return [lower if upper == node else upper for upper, lower in links if node in (upper, lower)]


def _crossings(rows: Sequence[Sequence[Node]], links: Sequence[tuple[Node, Node]]) -> int:
    position = {node: index for row in rows for index, node in enumerate(row)}
    return sum(
        (position[upper] - position[other_upper]) * (position[lower] - position[other_lower]) < 0
        for number, (upper, lower) in enumerate(links)
        for other_upper, other_lower in links[:number]
        if upper.floor == other_upper.floor
    )


def _wish(node: Node, links: Sequence[tuple[Node, Node]], centres: Mapping[Node, float]) -> float:
    """Return where a node would like to be: the mean of its neighbours; waypoints pull at each other most."""
    weighted = [
        (centres[other], (1 if node.is_box else 3) * (1 if other.is_box else 3)) for other in _neighbours(node, links)
    ]
    if not weighted:
        return centres[node]
    return sum(centre * weight for centre, weight in weighted) / sum(weight for _, weight in weighted)


def _spread(row: Sequence[Node], wishes: Sequence[float]) -> list[float]:
    """Return the centres nearest to the wishes, in least squares, that keep the order and leave gaps (isotonic regression)."""
    offsets = [0.0]
    for node, following in pairwise(row):
        offsets.append(offsets[-1] + (node.width + following.width) / 2 + GAP)
    pools: list[list[float]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        pools.append([wish - offset])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = [fmean(pool) for pool in pools for _ in pool]
    lowest, highest = LEFT + row[0].width / 2, RIGHT - row[-1].width / 2 - offsets[-1]
    return [min(max(start, lowest), highest) + offset for start, offset in zip(level, offsets, strict=True)]


# How it is drawn.


def _middle(floor: int, count: int) -> float:
    return FLOOR_HEIGHT * (count - floor - 0.5)


def _port(
    node: Node, link: tuple[Node, Node], centres: Mapping[Node, float], chains: Iterable[Sequence[Node]]
) -> float:
    """Return where a link touches a node; links at one side of a box are spread in the order of their other ends."""
    if not node.is_box:
        return centres[node]
    side = 0 if link[0] == node else 1
    others = sorted((other[1 - side] for other in _links(chains) if other[side] == node), key=centres.__getitem__)
    return centres[node] + PORT_DISTANCE * (others.index(link[1 - side]) - (len(others) - 1) / 2)


def _arrow(chain: Sequence[Node], centres: Mapping[Node, float], chains: Iterable[Sequence[Node]], count: int) -> str:
    steps: list[str] = []
    for upper, lower in pairwise(chain):
        x, y = _port(upper, (upper, lower), centres, chains), _middle(upper.floor, count) + BOX_HEIGHT / 2
        end_x, end_y = _port(lower, (upper, lower), centres, chains), _middle(lower.floor, count) - BOX_HEIGHT / 2
        half = (y + end_y) / 2
        steps.append(
            f"{'L' if steps else 'M'}{x:.1f} {y:g}C{x:.1f} {half:g} {end_x:.1f} {half:g} {end_x:.1f} {end_y:g}"
        )
    title = f"{chain[0].name} imports {chain[-1].name}"
    return (
        f'<path d="{"".join(steps)}" fill="none" stroke="{ARROW}" stroke-width="1.4" marker-end="url(#head)">'
        f"<title>{title}</title></path>"
    )


def _box(node: Node, centre: float, count: int) -> str:
    y = _middle(node.floor, count) - BOX_HEIGHT / 2
    is_folder = (PACKAGE / node.name).is_dir()
    style = f'fill="{FOLDER}"' if is_folder else f'fill="{MODULE}" stroke-dasharray="4 3"'
    return (
        f'<rect x="{centre - BOX_WIDTH / 2:.1f}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7" {style} '
        f'stroke="{LINE}"/>{_text(centre, y + 23, _where(node.name), size=15, colour=INK, weight=600)}'
    )


def _text(x: float, y: float, words: str, *, size: int, colour: str, weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="middle">'
        f"{escape(words)}</text>"
    )


if __name__ == "__main__":
    main()
