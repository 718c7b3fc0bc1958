"""Executable claims about how far token vectors travel inside a language model.

Names are imported on first use, so ``import pathlen`` and the pytest plugin load neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlen.claims import Claim as Claim
    from pathlen.claims import Finding as Finding
    from pathlen.claims import claim as claim
    from pathlen.columns import Trace as Trace
    from pathlen.columns import measures as measures
    from pathlen.controls import PLANTED as PLANTED
    from pathlen.controls import SHIFTED as SHIFTED
    from pathlen.controls import SHUFFLED as SHUFFLED
    from pathlen.controls import UNTRAINED as UNTRAINED
    from pathlen.controls import Control as Control
    from pathlen.corpora import Corpus as Corpus
    from pathlen.corpora import open_corpus as open_corpus
    from pathlen.depth import at_depth as at_depth
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
    from pathlen.explore import Exploration as Exploration
    from pathlen.explore import measure as measure
    from pathlen.fleet import measure_corpus as measure_corpus
    from pathlen.fleet import processes as processes
    from pathlen.measurements import Measurement as Measurement
    from pathlen.measurements import Published as Published
    from pathlen.models import LoadedModel as LoadedModel
    from pathlen.models import ModelSpec as ModelSpec
    from pathlen.models import load as load
    from pathlen.models import spec as spec
    from pathlen.passages import Passage as Passage
    from pathlen.records import Run as Run
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
    from pathlen.traces import trace as trace
    from pathlen.universes import LAST_STEP_AND_NEXT_TOKEN as LAST_STEP_AND_NEXT_TOKEN
    from pathlen.universes import Choice as Choice
    from pathlen.universes import Multiverse as Multiverse
    from pathlen.universes import Option as Option
    from pathlen.verdicts import Region as Region
    from pathlen.verdicts import Verdict as Verdict
    from pathlen.verdicts import above as above
    from pathlen.verdicts import below as below
    from pathlen.verdicts import within as within

SMALL, MEDIUM, LARGE, XL = SIZES = ("small", "medium", "large", "xl")

_HOME = {
    "claims": ("Claim", "Finding", "claim"),
    "columns": ("Trace", "measures"),
    "controls": ("PLANTED", "SHIFTED", "SHUFFLED", "UNTRAINED", "Control"),
    "depth": ("at_depth",),
    "corpora": ("Corpus", "open_corpus"),
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
    "explore": ("Exploration", "measure"),
    "measurements": ("Measurement", "Published"),
    "fleet": ("measure_corpus", "processes"),
    "models": ("LoadedModel", "ModelSpec", "load", "spec"),
    "passages": ("Passage",),
    "records": ("Run",),
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
    "traces": ("trace",),
    "universes": ("LAST_STEP_AND_NEXT_TOKEN", "Choice", "Multiverse", "Option"),
    "verdicts": ("Region", "Verdict", "above", "below", "within"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*sorted(_MODULE), "LARGE", "MEDIUM", "SIZES", "SMALL", "XL"]  # noqa: PLE0604  # all are strings


def __getattr__(name: str) -> object:
    if name in _MODULE:
        return getattr(import_module(f"pathlen.{_MODULE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
