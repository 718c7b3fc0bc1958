"""The families of models with a table of sizes: their names and shapes, known before any file is read."""

from __future__ import annotations

from dataclasses import dataclass

from pathlen.models import mini

__all__ = ["FAMILIES", "LARGE_NETWORK", "SIZES", "ModelSpec", "spec"]

SIZES = ("small", "medium", "large", "xl")
LARGE_NETWORK = 50_000_000  # parameters
SHIPPED = "shipped with pathlen"  # how a record names the source of an embedded checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The name and shape of a model, before any of its weights are read.

    Attributes
    ----------
    family, size : str
        ``gpt2`` or ``mini``, and one of `SIZES`. For any other checkpoint, the name of its directory or repository, and
        ``"model"``.
    title : str
        The name shown to readers, such as ``"GPT-2 Small"``.
    source : str
        A repository of the Hub, or a directory.
    revision : str
        The commit of the repository; empty for a directory.
    n_layer, n_head, d_model : int
        Number of blocks, heads per block, and width of the residual stream.

    """

    family: str
    size: str
    title: str
    source: str
    revision: str
    n_layer: int
    n_head: int
    d_model: int

    @property
    def parameters(self) -> int:
        """Approximate number of parameters in the blocks: ``12 d^2`` each."""
        return 12 * self.n_layer * self.d_model**2

    @property
    def is_large(self) -> bool:
        """Whether one forward pass keeps all cores busy, and two such networks should not be in memory at once."""
        return self.parameters > LARGE_NETWORK

    @property
    def is_shipped(self) -> bool:
        """Whether this is one of the embedded checkpoints, which every installation of the package has."""
        return self.family == "mini" and self.source == str(mini.checkpoint(self.size))

    @property
    def origin(self) -> str:
        """Where the weights come from, as text for a record: a repository, a directory, or this package."""
        return SHIPPED if self.is_shipped else self.source

    @property
    def remedy(self) -> str:
        """The command that downloads the weights into the local cache of the Hub; empty for a directory."""
        if not self.revision:
            return ""
        # A repository of somebody else may be called gpt2, too.
        is_in_table = (
            self.size in FAMILIES.get(self.family, {}) and self.source == FAMILIES[self.family][self.size].source
        )
        return f"pathlen fetch {self.size}" if is_in_table else f"pathlen fetch {self.source}@{self.revision}"


def _gpt2(size: str, name: str, revision: str, n_layer: int, n_head: int, d_model: int) -> ModelSpec:
    return ModelSpec(
        family="gpt2",
        size=size,
        title=f"GPT-2 {_title(size)}",
        source=f"openai-community/{name}",
        revision=revision,
        n_layer=n_layer,
        n_head=n_head,
        d_model=d_model,
    )


def _mini(size: str) -> ModelSpec:
    shape = mini.SHAPES[size]
    return ModelSpec(
        family="mini",
        size=size,
        title=f"mini {_title(size)}",
        source=str(mini.checkpoint(size)),
        revision="",
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        d_model=shape.d_model,
    )


def _title(size: str) -> str:
    return "XL" if size == "xl" else size.capitalize()


FAMILIES: dict[str, dict[str, ModelSpec]] = {
    "gpt2": {
        "small": _gpt2("small", "gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", 12, 12, 768),
        "medium": _gpt2("medium", "gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", 24, 16, 1024),
        "large": _gpt2("large", "gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519", 36, 20, 1280),
        "xl": _gpt2("xl", "gpt2-xl", "15ea56dee5df4983c59b2538573817e1667135e2", 48, 25, 1600),
    },
    "mini": {size: _mini(size) for size in SIZES},
}


def spec(family: str, size: str) -> ModelSpec:
    """Return the table's entry for a family and a size.

    Raises
    ------
    ValueError
        If either is unknown; the message lists the known ones.

    Examples
    --------
    >>> spec("gpt2", "xl").n_layer
    48

    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, but {family!r} was given")
    sizes = FAMILIES[family]
    if size not in sizes:
        raise ValueError(f"size must be one of {', '.join(sizes)}, but {size!r} was given")
    return sizes[size]
