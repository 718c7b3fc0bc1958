"""Whether everything is in place on this machine, and what to do where it is not.

Nothing is downloaded or changed. The last check measures a text with the smallest network that ships with the package and
compares every step with the published double loop: what the instrument says here is what it says elsewhere.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Literal

from pathlen._util.cache import Cache, folder
from pathlen._util.memory import available
from pathlen.errors import ModelNotFound
from pathlen.models.checkpoint import find, identify
from pathlen.models.families import FAMILIES, spec
from pathlen.models.loading import WORKING_MEMORY, load, refuse_device
from pathlen.passages.shipped import shipped

__all__ = ["AGREEMENT", "Diagnosis", "examine"]

AGREEMENT = 1e-5  # float32 lengths against the double loop, relative; `claims/test_definition.py` asks for as much
State = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one check came to.

    Attributes
    ----------
    name : str
    state : str
        ``"good"``, ``"bad"``, or ``"note"`` for what is no fault but limits what can be done.
    said : str
        What was found.
    remedy : str
        What to do; empty where nothing has to be done.

    """

    name: str
    state: State
    said: str
    remedy: str = ""


def examine() -> Iterator[Diagnosis]:
    """Yield the checks one by one, the slowest last; a check that breaks is a bad one and does not stop the others."""
    for check in (_python, _packages, _plugin, _embedded, _weights, _devices, _memory, _cache, _hub, _instrument):
        try:
            yield check()
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a machine is what is asked here
            name = check.__name__.removeprefix("_")
            yield Diagnosis(name=name, state="bad", said=f"{type(error).__name__}: {error}", remedy=REINSTALL)


REINSTALL = f"{Path(sys.executable).name} -m pip install --force-reinstall --no-deps pathlen"


def _python() -> Diagnosis:
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Diagnosis(name="python", state="good", said=said)


def _packages(distribution: str = "pathlen") -> Diagnosis:
    from packaging.requirements import Requirement

    wrong, found = [], []
    for text in requires(distribution) or []:
        one = Requirement(text)
        if one.marker and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(one.name)
        except PackageNotFoundError:
            wrong.append(f"{one.name} is not installed")
            continue
        found.append(f"{one.name} {installed}")
        if not one.specifier.contains(installed, prereleases=True):
            wrong.append(f"{one.name} {installed} is not {one.specifier}")
    if wrong:
        return Diagnosis(
            name="packages",
            state="bad",
            said="; ".join(wrong),
            remedy=f"{Path(sys.executable).name} -m pip install --upgrade pathlen",
        )
    shown = [one for one in found if one.split()[0] in ("torch", "transformers", "pytest", "numpy")]
    return Diagnosis(name="packages", state="good", said=f"{len(found)} as required, {', '.join(shown)}")


def _plugin() -> Diagnosis:
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return Diagnosis(
            name="plugin",
            state="note",
            said="PYTEST_DISABLE_PLUGIN_AUTOLOAD is set, so pytest does not load it by itself",
            remedy="pytest -p pathlen.plugin ..., or unset the variable",
        )
    if not any(one.value == "pathlen.plugin" for one in entry_points(group="pytest11")):
        return Diagnosis(name="plugin", state="bad", said="pytest does not know it", remedy=REINSTALL)
    return Diagnosis(name="plugin", state="good", said="pytest loads it")


def _embedded() -> Diagnosis:
    for one in FAMILIES["mini"].values():
        identify(one)
    return Diagnosis(name="embedded family", state="good", said=f"{len(FAMILIES['mini'])} networks are whole")


def _weights() -> Diagnosis:
    here, missing = [], []
    for size, one in FAMILIES["gpt2"].items():
        try:
            find(one)
            here.append(size)
        except ModelNotFound:
            missing.append(size)
    if not missing:
        return Diagnosis(name="GPT-2", state="good", said=f"{', '.join(here)} are on this machine")
    return Diagnosis(
        name="GPT-2",
        state="note",
        said=f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine",
        remedy=f"pathlen fetch {' '.join(missing)}",
    )


def _devices() -> Diagnosis:
    there = []
    for device in ("cuda", "mps"):
        try:
            refuse_device(device, "float32")
            there.append(device)
        except ValueError:
            continue
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    said = f"cpu with {os.cpu_count()} cores (OMP_NUM_THREADS {threads})"
    return Diagnosis(name="devices", state="good", said=", ".join([said, *there]))


def _memory() -> Diagnosis:
    free = available()
    if free is None:
        return Diagnosis(name="memory", state="note", said="this system does not tell how much is free")
    fits = [size for size, one in FAMILIES["gpt2"].items() if 4 * one.parameters + WORKING_MEMORY < free]
    said = f"{free / 1e9:.1f} GB free: room for {', '.join(fits) or 'none'} of GPT-2 in float32"
    return Diagnosis(name="memory", state="good" if fits else "note", said=said)


def _cache() -> Diagnosis:
    home = folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return Diagnosis(
            name="cache",
            state="note",
            said=f"{home} can't be written to ({error.strerror}), so every run measures anew",
            remedy="PATHLEN_CACHE=FOLDER names another folder",
        )
    entries = Cache(home).entries()
    size = sum(path.stat().st_size for path in entries) / 1e6
    return Diagnosis(name="cache", state="good", said=f"{home}, {len(entries):,} entries, {size:.1f} MB")


def _hub() -> Diagnosis:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Diagnosis(
            name="Hub",
            state="note",
            said="HF_HUB_OFFLINE is set, so nothing can be fetched",
            remedy="unset HF_HUB_OFFLINE, then pathlen fetch NAME",
        )
    return Diagnosis(name="Hub", state="good", said=f"{constants.ENDPOINT} (not asked), cache {constants.HF_HUB_CACHE}")


def _instrument(error_of: Callable[[], tuple[float, int]] | None = None) -> Diagnosis:
    found, steps = (error_of or _largest_error)()
    said = f"{steps:,} steps against the published double loop: largest relative error {found:.1e}"
    if found < AGREEMENT:
        return Diagnosis(name="instrument", state="good", said=said)
    return Diagnosis(
        name="instrument",
        state="bad",
        said=f"{said}, which is not below {AGREEMENT:g}",
        remedy="try another version of torch, and report it with what `pathlen doctor --json` says",
    )


def _largest_error() -> tuple[float, int]:
    from pathlen.traces.reference import loop_steps, relative_error
    from pathlen.traces.tracer import trace

    model = load(spec("mini", "small"))
    measured = trace(model, shipped("tides"), columns=["step_length", "final_norm_step"])
    errors = relative_error(measured, loop_steps(model, measured))
    return float(errors.max()), errors.size
