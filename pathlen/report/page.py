"""The page: templates filled from a record, with figures and data inside and nothing loaded from elsewhere."""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from pathlen._util.text import visible
from pathlen.claims.finding import FRAGILE
from pathlen.claims.verdict import Verdict
from pathlen.errors import MissingTemplate
from pathlen.plots.figures import histogram, scatter
from pathlen.records.files import encoded
from pathlen.records.merge import AND
from pathlen.records.schema import ModelRecord, Run
from pathlen.report.calibration import SEVERITY_WORDS, lines, severity_rows
from pathlen.report.cards import Change, cards, changes, heart, p_words, spreads
from pathlen.report.explorer import explorer, thinned
from pathlen.report.matrix import rows
from pathlen.report.provenance import banners, bibtex, citation, downloads, reproduce, stages, stamp
from pathlen.report.sentences import badge, headline, question
from pathlen.stats.calibration.table import table

__all__ = ["CONTENTS", "page"]

CONTENTS = (
    ("matrix", "Claims and sizes"),
    ("centre", "The relation at the centre"),
    ("tokens", "Token by token"),
    ("claims", "Claim by claim"),
    ("universes", "Other analysts"),
    ("controls", "Controls"),
    ("original", "Differences from the original"),
    ("exploratory", "Exploratory"),
    ("calibration", "Calibration"),
    ("provenance", "Provenance"),
    ("reproduce", "Reproduce"),
    ("cite", "Cite"),
    ("data", "Data"),
)
# The correction whose effect was measured, if any; what the original did; what is done here instead.
DIFFERENCES = (
    (
        "state before the final norm",
        "the last state is taken after the final norm",
        "before it: the last block’s own step",
    ),
    (
        "last token dropped",
        "each text’s last token is paired with a logit of 0 that belongs to no token",
        "only tokens that have a next one",
    ),
    (
        "corrected analysis",
        "one correlation over all tokens",
        "within passages, each passage’s straight trend taken out",
    ),
    ("", "one text", "as many texts as the stamp says; your own can be measured, too"),
    ("", "a number alone", "an interval that resamples whole passages, for tokens of one text depend on each other"),
    ("", "“about zero” read from a small number", "a margin that has to be shown"),
    ("", "no control", "untrained networks, shuffled tokens, shifted and planted pairings"),
)
COVERAGE = [0.85 + 0.005 * step for step in range(31)]  # edges of the histogram; no cell of the table lies outside
ENOUGH_PASSAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelFigures:
    model: ModelRecord
    corrected: Markup
    published: Markup


def page(run: Run) -> str:
    """Return a record as one HTML page; the same record gives the same bytes.

    Raises
    ------
    MissingTemplate
        If a file of the page is not where this package was installed.

    """
    style, script = _template("page.css"), _template("page.js")
    matrix, small = rows(run), thinned(run)
    all_cards = cards(run)
    digest = hashlib.sha256(encoded(run).encode("utf-8")).hexdigest()
    sizes, changed = changes(run)
    rates = [rate.covered_95 for rate in table() if rate.passages >= ENOUGH_PASSAGES]
    try:
        templates = Environment(
            loader=PackageLoader("pathlen.report"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters |= {"p": p_words, "log": math.log}
        return templates.get_template("page.html").render(
            run=run,
            contents=CONTENTS,
            selections=run.selection.split(AND),
            badge=badge(run),
            question=question(run),
            headline=headline(run),
            stamp=stamp(run),
            banners=banners(run),
            rows=matrix,
            corrected={row.claim.id for row in matrix if row.claim.reading == "corrected"},
            fragile=any(FRAGILE in finding.flags for finding in run.findings),
            heart=heart(run),
            shown=explorer(small),
            models=[_figures(model) for model in run.models],
            confirmatory=[card for card in all_cards if not card.claim.exploratory],
            exploratory=[card for card in all_cards if card.claim.exploratory],
            spreads=spreads(run),
            has_controls=any(finding.controls for finding in run.findings),
            changed_sizes=sizes,
            differences=_differences(changed),
            calibration=lines(table()),
            covered=histogram(
                rates,
                COVERAGE,
                mark=0.95,
                title=f"Coverage of the 95 % interval in {len(rates)} kinds of simulated data",
                x="share of runs whose interval held the true value",
                y="kinds of data",
            ),
            covered_cells=len(rates),
            severity=severity_rows(run.severity),
            severity_words=SEVERITY_WORDS,
            vacuous=Verdict.VACUOUS,
            invalid=Verdict.INVALID,
            record_digest=digest,
            stages=stages(run),
            reproduce=reproduce(run),
            bibtex=bibtex(run, digest),
            citation=citation(run.environment.get("pathlen", "unknown")),
            downloads=downloads(small),
            is_thinned=small is not run,
            style=Markup(style),  # noqa: S704  # our own file
            script=Markup(script),  # noqa: S704  # our own file
            style_digest=_digest(style),
            script_digest=_digest(script),
        )
    except TemplateNotFound as error:
        raise MissingTemplate(
            f"the page needs the template {error.name}, which is not installed with pathlen"
        ) from error


def _shown(value: object) -> object:
    """Return a value as a template shows it: in text that is not our own markup, every character is made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _template(name: str) -> str:
    try:
        return files("pathlen.report").joinpath(f"templates/{name}").read_text(encoding="utf-8")
    except OSError as error:
        raise MissingTemplate(f"the page needs the template {name}, which is not installed with pathlen") from error


def _digest(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _differences(changed: list[Change]) -> list[tuple[Change | None, str, str]]:
    """Return every difference from the original; those that were measured, with what they change."""
    measured = {change.name: change for change in changed}
    described = [(measured.pop(name, None), before, after) for name, before, after in DIFFERENCES]
    return [*((change, "without: " + change.name, change.name) for change in measured.values()), *described]


def _figures(model: ModelRecord) -> _ModelFigures:
    title = f"{model.title}, {{}}: last step against the next token’s logit, {{}} of {model.rows:,} tokens"
    return _ModelFigures(
        model=model,
        corrected=scatter(
            model.points,
            title=title.format("corrected", len(model.points)),
            x="last step, before the final norm",
            y="next token’s logit",
        ),
        published=scatter(
            model.published_points,
            model.spurious_points,
            title=title.format("as published", len(model.published_points)),
            x="last step and final norm",
            y="next token’s logit",
        ),
    )
