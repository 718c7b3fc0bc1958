"""The page: a template filled from a record, with its figures inline and nothing loaded from anywhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pathlen.records import ModelRecord, Run
from pathlen.report.calibration import SEVERITY_WORDS, lines, severity_rows
from pathlen.report.matrix import OF_ITS_TEXTS_ONLY, Row, adjusted, rows, sentence, speaks_of_its_texts_only
from pathlen.report.scrutiny import specification, waterfall
from pathlen.report.svg import Interval, forest, scatter
from pathlen.stats.calibration import table
from pathlen.universes import Curve
from pathlen.verdicts import Verdict

__all__ = ["page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    row: Row
    figure: Markup | None
    waterfalls: tuple[tuple[str, Markup], ...]
    universes: tuple[_Universes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Universes:
    size: str
    curve: Curve
    figure: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelFigures:
    model: ModelRecord
    corrected: Markup
    published: Markup


def page(run: Run) -> str:
    """Return a record as one HTML page; the same record gives the same bytes."""
    templates = Environment(
        loader=PackageLoader("pathlen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["p"] = _p_value
    style = files("pathlen.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    matrix = rows(run)
    return templates.get_template("page.html").render(
        run=run,
        rows=matrix,
        adjusted=adjusted(run),
        has_controls=any(one.controls for one in run.findings),
        texts_only=OF_ITS_TEXTS_ONLY if speaks_of_its_texts_only(run) else "",
        sentence=sentence(run),
        cards=[_card(row) for row in matrix],
        models=[_figures(model) for model in run.models],
        calibration=lines(table()),
        severity=severity_rows(run.severity),
        severity_words=SEVERITY_WORDS,
        vacuous=Verdict.VACUOUS,
        invalid=Verdict.INVALID,
        style=Markup(style),  # noqa: S704  # our own file
        style_digest=b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii"),
        package=run.environment.get("pathlen", "unknown"),
    )


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"


def _card(row: Row) -> _Card:
    found = [(cell.size, cell.finding) for cell in row.all_cells if cell.finding]
    name = f"{row.claim.id}, {{}}: {{}}"
    region = (row.claim.region.low, row.claim.region.high)
    return _Card(
        row=row,
        figure=_forest(row),
        waterfalls=tuple(
            (size, waterfall(one.attribution, title=name.format(size, "from as published to corrected")))
            for size, one in found
            if one.attribution
        ),
        universes=tuple(
            _Universes(
                size=size,
                curve=one.universes,
                figure=specification(one.universes, region, title=name.format(size, "all universes and each option's")),
            )
            for size, one in found
            if one.universes
        ),
    )


def _forest(row: Row) -> Markup | None:
    intervals = [
        Interval(
            label=cell.size,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            verdict=cell.word,
            controls=tuple((tally.control, tally.values) for tally in cell.finding.controls),
        )
        for cell in row.all_cells
        if cell.finding and (estimate := cell.finding.estimate)
    ]
    if not intervals:
        return None
    title = f"{row.claim.id}, {row.claim.reading}: intervals per size; the claim holds {row.claim.region}"
    return forest(intervals, (row.claim.region.low, row.claim.region.high), title=title)


def _figures(model: ModelRecord) -> _ModelFigures:
    title = f"{model.title}, {{}}: last step against the next token's logit, {{}} of {model.rows:,} tokens"
    return _ModelFigures(
        model=model,
        corrected=scatter(
            model.points,
            title=title.format("corrected", len(model.points)),
            x="last step, before the final norm",
            y="next-token logit",
        ),
        published=scatter(
            model.published_points,
            model.spurious_points,
            title=title.format("as published", len(model.published_points)),
            x="last step and final norm",
            y="next-token logit",
        ),
    )
