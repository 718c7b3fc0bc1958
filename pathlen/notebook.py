"""Looking at a measurement, in a notebook or a script: labelled columns, tables, figures.

::

    from pathlen import measure

    tides = measure("mini/small", "tides")      # a size of a family, a directory, or a repository that was fetched
    tides                                       # what was measured, as a table
    tides.step_length                           # a NumPy array (steps, rows)
    tides.to_xarray()                           # the same with names on every axis
    tides.plot("step_length")                   # over the blocks, or one column against another

This module computes no statistics and knows no claims. Its figures are SVGs that follow the light or dark mode of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from pathlen.columns.catalog import ALIGNMENT, CATALOG, CUSTOM_COLUMNS
from pathlen.columns.catalog import column as column_of
from pathlen.columns.measurement import Measurement
from pathlen.errors import InvalidColumn, UnmeasuredColumn
from pathlen.models.checkpoint import from_name
from pathlen.models.families import FAMILIES, ModelSpec, spec
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.choose import chosen
from pathlen.passages.passage import Passage, at_least_one
from pathlen.plots.svg import Axis, padded, ticks

if TYPE_CHECKING:
    import pandas
    import xarray

__all__ = ["Exploration", "Figure", "measure"]

MOST_DOTS = 1000
BAND = (0.1, 0.9)  # quantiles of the tokens around their median
ROW = "row"
# Columns that are derived from measured ones, with their axes; each is documented where it is defined.
DERIVED = {
    "last_step": ("row",),
    "path_length": ("step", "row"),
    "total_length": ("row",),
    "mean_step": ("row",),
    "straightness": ("row",),
    "radial_share": ("step", "row"),
    "angular_share": ("step", "row"),
    "next_probability": ("row",),
    "log_frequency": ("row",),
}
STYLE = (
    "svg{font:12px system-ui,sans-serif;color:#1a1a1a;background:#fff}text{fill:currentColor}"
    ".grid{stroke:currentColor;opacity:.15}.dot{fill:#1f6feb;opacity:.55}.line{fill:none;stroke:#1f6feb;stroke-width:2}"
    ".band{fill:#1f6feb;opacity:.2}"
    "@media(prefers-color-scheme:dark){svg{color:#e6e6e6;background:#16181d}.dot{fill:#79b8ff}.line{stroke:#79b8ff}"
    ".band{fill:#79b8ff}}"
)


class Figure(Markup):
    """A figure as SVG text, which a notebook shows as an image; `save` writes it to a file."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> Path:
        """Write the figure to a file atomically and return its path."""
        from pathlen._util.files import write_text

        write_text(Path(path), str(self))
        return Path(path)


class Exploration(Measurement):
    """A measurement that can be looked at: everything of `Measurement`, with names for its rows, tables and figures.

    Attributes
    ----------
    title : str
        The model's title.
    texts : tuple of str
        Names of the texts, in order; `passage` holds indices into it.
    pieces : ndarray of str, shape (rows,)
        The token of every row as text. A piece that is not valid UTF-8 on its own shows as U+FFFD.

    """

    __slots__ = ("pieces", "texts", "title")

    title: str
    texts: tuple[str, ...]
    pieces: NDArray[np.str_]

    def __init__(
        self,
        make: Callable[[str], NDArray[Any]] | None = None,
        *,
        title: str,
        texts: tuple[str, ...],
        pieces: NDArray[np.str_],
        passage: NDArray[np.int64],
        **columns: NDArray[Any],
    ) -> None:
        for name, attribute in (("title", title), ("texts", texts), ("pieces", pieces)):
            object.__setattr__(self, name, attribute)
        super().__init__(make, passage=passage, **columns)

    def _like(
        self,
        make: Callable[[str], NDArray[Any]],
        rows: NDArray[np.bool_] | None = None,
        *,
        passage: NDArray[np.int64],
        **columns: NDArray[Any],
    ) -> Exploration:
        pieces = self.pieces if rows is None else self.pieces[rows]
        return Exploration(make, title=self.title, texts=self.texts, pieces=pieces, passage=passage, **columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the measured columns, in the catalog's order, without derived ones."""
        return tuple(name for name in (*CATALOG, *CUSTOM_COLUMNS) if name not in ALIGNMENT and self._is_measured(name))

    def _is_measured(self, name: str) -> bool:
        try:
            getattr(self, name)
        except (UnmeasuredColumn, InvalidColumn):
            return False
        return True

    def __repr__(self) -> str:
        texts = ", ".join(self.texts)
        number = f"{len(self.texts)} text{'s' if len(self.texts) > 1 else ''}"
        lines = [f"{number} ({texts}) in {self.title}: {len(self):,} rows, one per token that has a next token"]
        for name in self.columns:
            axes, shape = ", ".join(self._axes(name)), "×".join(map(str, getattr(self, name).shape))
            lines.append(f"  {name:24} {shape:>12}  ({axes}), {column_of(name).unit}")
        lines.append(f"  and derived of them: {', '.join(DERIVED)} ...")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for name in self.columns:
            described, values = column_of(name), getattr(self, name)
            least, middle, most = (f"{quantile:.4g}" for quantile in np.quantile(values, (0, 0.5, 1)))
            shape = " × ".join(f"{size} {axis}" for size, axis in zip(values.shape, self._axes(name), strict=True))
            cells = (name, shape, described.unit, least, middle, most, described.meaning)
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
        head = "".join(f"<th>{cell}</th>" for cell in ("column", "shape", "unit", "least", "median", "most", "is"))
        first = escape(repr(self).splitlines()[0])
        return f"<p>{first}</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"

    def _axes(self, name: str) -> tuple[str, ...]:
        """Return the names of a column's axes; the axis of tokens is called row here."""
        if name in DERIVED:
            return DERIVED[name]
        return (*column_of(name).axes[:-1], ROW)

    def _known(self, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in DERIVED:
                column_of(name)
        return names or self.columns

    def to_xarray(self, *names: str) -> xarray.Dataset:
        """Return columns as a dataset with names on every axis.

        ``state`` counts from 0, the embedding; ``step`` and ``block`` from 1, as in ``h_1 - h_0``; ``head`` from 0. The coordinates
        of a row are its text, the index of its token in the text, and the token itself.

        Parameters
        ----------
        names : str
            Columns of the catalog, custom or derived ones; by default all that were measured.

        Raises
        ------
        ImportError
            If xarray is not installed.
        InvalidColumn, UnmeasuredColumn
            If there is no such column, or it was not measured.

        """
        try:
            import xarray
        except ImportError as error:
            raise ImportError("to_xarray needs xarray: pip install xarray") from error
        columns = self._known(names)
        data = {
            name: (
                self._axes(name),
                getattr(self, name),
                {} if name in DERIVED else {"units": column_of(name).unit, "long_name": column_of(name).meaning},
            )
            for name in columns
        }
        labels: dict[str, Any] = {
            "text": (ROW, np.array(self.texts)[self.passage]),
            "token": (ROW, self.token),
            "piece": (ROW, self.pieces),
        }
        for axes, values, _ in data.values():
            for axis, size in zip(axes[:-1], values.shape[:-1], strict=True):
                first = 1 if axis in ("step", "block") else 0
                labels[axis] = (axis, np.arange(first, first + size))
        return xarray.Dataset(data, coords=labels, attrs={"model": self.title})

    def to_pandas(self, *names: str) -> pandas.DataFrame:
        """Return columns as a table, one line per row; ``step_length_3`` is the third entry of a column with more than one.

        Arguments and errors as in `to_xarray`, with pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install pandas") from error
        table: dict[str, Any] = {
            "text": np.array(self.texts)[self.passage],
            "token": self.token,
            "piece": self.pieces,
        }
        for name in self._known(names):
            values = getattr(self, name)
            if values.ndim == 1:
                table[name] = values
                continue
            firsts = [1 if axis in ("step", "block") else 0 for axis in self._axes(name)[:-1]]
            for indices in np.ndindex(values.shape[:-1]):
                label = "_".join(str(index + first) for index, first in zip(indices, firsts, strict=True))
                table[f"{name}_{label}"] = values[indices]
        return pandas.DataFrame(table)

    def plot(self, column: str = "step_length", against: str = "") -> Figure:
        """Return a figure of a column: its median and middle 80 % of tokens over the blocks, or against another column.

        Parameters
        ----------
        column : str
            Of the catalog, custom or derived. If it has an axis beside the rows, it is drawn over that axis.
        against : str, optional
            Another column, for a scatter; both must have one number per token. At most 1,000 evenly spaced rows are drawn.

        Raises
        ------
        InvalidColumn, UnmeasuredColumn
            If there is no such column, or it was not measured.
        ValueError
            If the column has one number per token and no column to be drawn against, or more axes than can be drawn.

        """
        self._known(tuple(filter(None, (column, against))))
        if against:
            return self._scatter(column, against)
        values, axes = getattr(self, column), self._axes(column)
        if values.ndim != 2:
            raise ValueError(
                f"{column} has shape {values.shape} ({', '.join(axes)}): "
                + (
                    f"one number per token is drawn against another, plot({column!r}, against='next_logit')"
                    if values.ndim == 1
                    else "one axis beside the rows can be drawn"
                )
            )
        first = 1 if axes[0] in ("step", "block") else 0
        layers = [float(first + index) for index in range(len(values))]
        low, middle, high = np.quantile(values, (BAND[0], 0.5, BAND[1]), axis=1)
        across, up = _scales(layers, [*low, *high])
        outline = [*zip(layers, high, strict=True), *zip(reversed(layers), low[::-1], strict=True)]
        marks = [
            f'<path class="band" d="{_path(across, up, outline)}Z"/>',
            f'<path class="line" d="{_path(across, up, zip(layers, middle, strict=True))}"/>',
        ]
        title = f"{column} in {self.title}: median and middle 80 % of {len(self):,} tokens"
        return _figure(across, up, marks, x=axes[0], y=_label(column), title=title)

    def _scatter(self, column: str, against: str) -> Figure:
        pair = [getattr(self, name) for name in (against, column)]
        for name, values in zip((against, column), pair, strict=True):
            if values.ndim != 1:
                raise ValueError(f"a scatter needs one number per token, but {name} has shape {values.shape}")
        rows = np.unique(np.linspace(0, len(self) - 1, min(len(self), MOST_DOTS)).astype(np.intp))
        x, y = ([float(number) for number in values[rows]] for values in pair)
        across, up = _scales(x, y)
        marks = [f'<circle class="dot" cx="{across(a)}" cy="{up(b)}" r="2.2"/>' for a, b in zip(x, y, strict=True)]
        drawn = f"{len(rows):,} of {len(self):,} tokens" if len(rows) < len(self) else f"{len(self):,} tokens"
        title = f"{column} against {against} in {self.title}: {drawn}"
        return _figure(across, up, marks, x=_label(against), y=_label(column), title=title)


def measure(
    model: LoadedModel | ModelSpec | str,
    passages: Passage | str | Iterable[Passage | str],
    *,
    columns: Iterable[str] = ("all",),
) -> Exploration:
    """Return the aligned columns of texts in a model, to look at and to compute with. Each text takes one forward pass.

    Parameters
    ----------
    model : LoadedModel, ModelSpec or str
        ``"mini/small"`` or ``"gpt2/xl"`` for a size of a family; a directory; or ``owner/name`` of the Hub, if it was fetched.
    passages : Passage, str, or iterable of these
        A string with a space in it is a text; one without is the name of a shipped passage (``pathlen texts`` lists them), a file, or
        ``wikipedia:TITLE@REVISION``.
    columns : iterable of str
        Which columns of `pathlen.columns.catalog.CATALOG`, or custom ones; by default all that the model has. Asking the result for
        another one is an `UnmeasuredColumn`.

    Raises
    ------
    InvalidText
        If there is no text, or one has too few tokens.
    InvalidColumn
        If there is no such column.
    ModelNotFound
        If the model is not on this machine; the message has the command that gets it.
    ModelMismatch
        If the capture doesn't reproduce the model's own logits.

    Examples
    --------
    >>> river = measure("mini/small", "The river rose in the night.", columns=["step_length"])
    >>> river.step_length.shape
    (12, 5)
    >>> river.texts
    ('text 1',)

    """
    named = [passages] if isinstance(passages, Passage | str) else list(passages)
    texts = list(at_least_one(_passage(passage, number) for number, passage in enumerate(named, start=1)))
    loaded = model if isinstance(model, LoadedModel) else load(model if isinstance(model, ModelSpec) else _spec(model))
    from pathlen.traces.tracer import measure_passages  # which brings torch

    measured = measure_passages(loaded, texts, columns=columns)
    token_ids, index = np.unique(measured.token_id, return_inverse=True)
    pieces = np.array([loaded.tokenizer.decode([int(token_id)]) for token_id in token_ids])
    return Exploration(
        lambda name: getattr(measured, name),
        title=loaded.spec.title,
        texts=tuple(text.name for text in texts),
        pieces=pieces[index],
        passage=measured.passage,
    )


def _spec(name: str) -> ModelSpec:
    family, _, size = name.partition("/")
    return spec(family, size) if family in FAMILIES else from_name(name)


def _passage(passage: Passage | str, number: int) -> Passage:
    if isinstance(passage, Passage):
        return passage
    if any(character.isspace() for character in passage.strip()) and not _is_file(passage):
        return Passage(name=f"text {number}", text=passage, origin="given as text")
    return chosen([passage])[0]


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a name, or no valid name
        return False


def _label(name: str) -> str:
    if name in DERIVED:
        return name.replace("_", " ")
    unit = column_of(name).unit
    return f"{name.replace('_', ' ')}" + ("" if unit == "1" else f" ({unit})")


WIDTH, HEIGHT, LEFT, FOOT = 520, 320, 64, 44


def _scales(x: list[float], y: list[float]) -> tuple[Axis, Axis]:
    return Axis(*padded(x), LEFT, WIDTH - 8), Axis(*padded(y), HEIGHT - FOOT, 8)


def _path(across: Axis, up: Axis, points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{across(float(x))} {up(float(y))}" for x, y in points)


def _figure(across: Axis, up: Axis, marks: list[str], *, x: str, y: str, title: str) -> Figure:
    """Return a figure with axes, its own style, and a title for screen readers."""
    floor = HEIGHT - FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
    ]
    for tick in ticks(across.low, across.high):
        parts.append(f'<path class="grid" d="M{across(tick)} 8V{floor}"/>')
        parts.append(f'<text x="{across(tick)}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>')
    for tick in ticks(up.low, up.high):
        parts.append(f'<path class="grid" d="M{LEFT} {up(tick)}H{WIDTH - 8}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up(tick) + 4}" text-anchor="end">{tick:g}</text>')
    middle = (LEFT + WIDTH) / 2
    parts += [
        *marks,
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(14 {floor / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text></svg>',
    ]
    return Figure("".join(parts))  # all text in it is escaped above
