"""Every error that this package raises on purpose, as one small tree.

::

    PathlenError
      ModelMismatch        a checkpoint is not the model its name says, or can't be trusted
      ModelNotFound        no weights in the place that was searched; says which command gets them
      ModelTooLarge        not enough memory for a model; says how much it needs
      DownloadFailed       weights could not be fetched from the Hub: no network, its fault, wrong content, no space
      InvalidText          a text that can't be measured: empty, too short, not UTF-8, not a file
      UndefinedEstimate    no usable interval: constant column, too few groups, non-finite values
      InvalidClaim         a claim without a sentence, a size, a region or a control; two claims with one id
      InvalidColumn        a column that is not in the catalog, or a custom one that is declared or computed wrongly
      UnmeasuredColumn     a column that was not measured, in a table that has no model to measure it with
      InvalidPaper         a paper.toml that does not say which document its claims are about
      InvalidRecord        not a record, or one of an unknown schema version
      InvalidLock          not a lock, or one that was edited by hand
      InvalidCorpus        a folder with no corpus, or with another, an unfinished or a damaged one
      CorpusFailed         some shards of a corpus could not be measured or written; all others are kept
      MissingTemplate      the page can't be made: a file of it is not installed

Wrong arguments are ``ValueError`` or ``TypeError``: the message names the argument, the rule and the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def near(name: str, known: Iterable[str], form: Callable[[str], str] = str) -> str:
    """Return the known name that is most like the given one, as a question to append to a message; empty if none is like it."""
    import difflib  # for the rare reader of an error; importing it takes milliseconds

    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {form(matches[0])}?" if matches else ""


class PathlenError(Exception):
    """Base of every error that this package raises on purpose."""


class ModelMismatch(PathlenError):
    """A checkpoint is not the model its name says, is damaged, or doesn't compute what was captured."""


class ModelNotFound(PathlenError):
    """There are no weights in the place that was searched.

    Attributes
    ----------
    remedy : str
        A command that gets them, or an empty string if there is none.

    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; get them with: {remedy}" if remedy else message)
        self.remedy = remedy


class ModelTooLarge(PathlenError):
    """There is not enough memory for a model."""


class DownloadFailed(PathlenError):
    """Weights could not be fetched: no network, a fault of the Hub, a wrong size or digest, or no disk space."""


class InvalidText(PathlenError):
    """A text can't be measured."""


class UndefinedEstimate(PathlenError):
    """A statistic has no value or no usable interval on these data."""


class InvalidClaim(PathlenError):
    """A claim is declared in a way that can't be checked."""


class InvalidColumn(PathlenError):
    """A column is not in the catalog, or a custom one is declared in a way that can't be measured or computes no numbers."""


class UnmeasuredColumn(PathlenError):
    """A column was not measured, and the table has no model to measure it with."""


class InvalidPaper(PathlenError):
    """A ``paper.toml`` does not say which document its claims are about, or none can be created in a folder."""


class InvalidRecord(PathlenError):
    """A file is not a record this version can read."""


class InvalidLock(PathlenError):
    """A file is not a lock this version can read."""


class InvalidCorpus(PathlenError):
    """A folder holds no corpus that can be read, or a different one from the one that is being measured."""


class CorpusFailed(PathlenError):
    """Part of a corpus could not be measured or written. Every finished shard is kept, and another run continues from there."""


class MissingTemplate(PathlenError):
    """A template of the page is missing from the installed package."""
