"""Executable claims about how far token vectors travel inside a language model.

Names are imported on first use, so ``import pathlen`` and the pytest plugin load neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlen.claims.claim import Claim as Claim
    from pathlen.claims.claim import claim as claim
    from pathlen.claims.controls import PLANTED as PLANTED
    from pathlen.claims.controls import SHIFTED as SHIFTED
    from pathlen.claims.controls import SHUFFLED as SHUFFLED
    from pathlen.claims.controls import UNTRAINED as UNTRAINED
    from pathlen.claims.controls import Control as Control
    from pathlen.claims.finding import Finding as Finding
    from pathlen.claims.last_step_multiverse import LAST_STEP_AND_NEXT_TOKEN as LAST_STEP_AND_NEXT_TOKEN
    from pathlen.claims.multiverse import Choice as Choice
    from pathlen.claims.multiverse import Multiverse as Multiverse
    from pathlen.claims.multiverse import Option as Option
    from pathlen.claims.verdict import Region as Region
    from pathlen.claims.verdict import Verdict as Verdict
    from pathlen.claims.verdict import above as above
    from pathlen.claims.verdict import below as below
    from pathlen.claims.verdict import within as within
    from pathlen.columns.catalog import measures as measures
    from pathlen.columns.layers import at_depth as at_depth
    from pathlen.columns.measurement import Measurement as Measurement
    from pathlen.columns.measurement import Published as Published
    from pathlen.columns.table import Trace as Trace
    from pathlen.corpora.corpus import Corpus as Corpus
    from pathlen.corpora.corpus import open_corpus as open_corpus
    from pathlen.corpora.measure import measure_corpus as measure_corpus
    from pathlen.corpora.measure import processes as processes
    from pathlen.errors import CorpusFailed as CorpusFailed
    from pathlen.errors import DownloadFailed as DownloadFailed
    from pathlen.errors import InvalidClaim as InvalidClaim
    from pathlen.errors import InvalidColumn as InvalidColumn
    from pathlen.errors import InvalidCorpus as InvalidCorpus
    from pathlen.errors import InvalidLock as InvalidLock
    from pathlen.errors import InvalidPaper as InvalidPaper
    from pathlen.errors import InvalidRecord as InvalidRecord
    from pathlen.errors import InvalidText as InvalidText
    from pathlen.errors import ModelMismatch as ModelMismatch
    from pathlen.errors import ModelNotFound as ModelNotFound
    from pathlen.errors import ModelTooLarge as ModelTooLarge
    from pathlen.errors import PathlenError as PathlenError
    from pathlen.errors import UndefinedEstimate as UndefinedEstimate
    from pathlen.errors import UnmeasuredColumn as UnmeasuredColumn
    from pathlen.models.families import ModelSpec as ModelSpec
    from pathlen.models.families import spec as spec
    from pathlen.models.loading import LoadedModel as LoadedModel
    from pathlen.models.loading import load as load
    from pathlen.notebook import Exploration as Exploration
    from pathlen.notebook import measure as measure
    from pathlen.passages.passage import Passage as Passage
    from pathlen.records.schema import Run as Run
    from pathlen.stats import Estimate as Estimate
    from pathlen.stats import Statistic as Statistic
    from pathlen.stats import cliffs_delta as cliffs_delta
    from pathlen.stats import detrended as detrended
    from pathlen.stats import estimator as estimator
    from pathlen.stats import every as every
    from pathlen.stats import head_cancellation as head_cancellation
    from pathlen.stats import largest as largest
    from pathlen.stats import largest_difference as largest_difference
    from pathlen.stats import largest_excess as largest_excess
    from pathlen.stats import log_slope as log_slope
    from pathlen.stats import mean as mean
    from pathlen.stats import partial as partial
    from pathlen.stats import pearson as pearson
    from pathlen.stats import pooled_pearson as pooled_pearson
    from pathlen.stats import ratio as ratio
    from pathlen.stats import share as share
    from pathlen.stats import slope as slope
    from pathlen.stats import spearman as spearman
    from pathlen.stats import strongest as strongest
    from pathlen.stats import variation as variation
    from pathlen.stats import winsorised as winsorised
    from pathlen.traces.tracer import trace as trace

SMALL, MEDIUM, LARGE, XL = SIZES = ("small", "medium", "large", "xl")

_HOME = {
    "claims.claim": (
        "Claim",
        "claim",
    ),
    "claims.controls": (
        "PLANTED",
        "SHIFTED",
        "SHUFFLED",
        "UNTRAINED",
        "Control",
    ),
    "claims.finding": ("Finding",),
    "claims.last_step_multiverse": ("LAST_STEP_AND_NEXT_TOKEN",),
    "claims.multiverse": (
        "Choice",
        "Multiverse",
        "Option",
    ),
    "claims.verdict": (
        "Region",
        "Verdict",
        "above",
        "below",
        "within",
    ),
    "columns.catalog": ("measures",),
    "columns.layers": ("at_depth",),
    "columns.measurement": (
        "Measurement",
        "Published",
    ),
    "columns.table": ("Trace",),
    "corpora.corpus": (
        "Corpus",
        "open_corpus",
    ),
    "corpora.measure": (
        "measure_corpus",
        "processes",
    ),
    "errors": (
        "CorpusFailed",
        "DownloadFailed",
        "InvalidClaim",
        "InvalidColumn",
        "InvalidCorpus",
        "InvalidLock",
        "InvalidPaper",
        "InvalidRecord",
        "InvalidText",
        "ModelMismatch",
        "ModelNotFound",
        "ModelTooLarge",
        "PathlenError",
        "UndefinedEstimate",
        "UnmeasuredColumn",
    ),
    "models.families": (
        "ModelSpec",
        "spec",
    ),
    "models.loading": (
        "LoadedModel",
        "load",
    ),
    "notebook": (
        "Exploration",
        "measure",
    ),
    "passages.passage": ("Passage",),
    "records.schema": ("Run",),
    "stats": (
        "Estimate",
        "Statistic",
        "cliffs_delta",
        "detrended",
        "estimator",
        "every",
        "head_cancellation",
        "largest",
        "largest_difference",
        "largest_excess",
        "log_slope",
        "mean",
        "partial",
        "pearson",
        "pooled_pearson",
        "ratio",
        "share",
        "slope",
        "spearman",
        "strongest",
        "variation",
        "winsorised",
    ),
    "traces.tracer": ("trace",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*sorted(_MODULE), "LARGE", "MEDIUM", "SIZES", "SMALL", "XL"]  # noqa: PLE0604  # all are strings


def __getattr__(name: str) -> object:
    if name in _MODULE:
        return getattr(import_module(f"pathlen.{_MODULE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
