"""The command ``pathlen doctor``: whether this machine has everything that is needed, and how to get what is missing.

Nothing is downloaded or changed. The last check measures a text with the smallest network that ships with the package and
compares every step with the published double loop, so it proves that the numbers are right on this machine.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pathlen.cli.command import DONE, FOUND, JSON, command, painted, say, say_json

__all__ = [
    "AGREEMENT",
    "CHECKS",
    "Diagnosis",
    "check_cache",
    "check_devices",
    "check_embedded",
    "check_hub",
    "check_instrument",
    "check_memory",
    "check_packages",
    "check_plugin",
    "check_python",
    "check_weights",
    "doctor",
    "examine",
]

AGREEMENT = 1e-5  # relative, of float32 lengths with the double loop; `claims/test_definition.py` asks for the same
REINSTALL = f"{Path(sys.executable).name} -m pip install --force-reinstall --no-deps pathlen"
KEY_PACKAGES = ("torch", "transformers", "pytest", "numpy")  # whose versions are shown
MARKS = {"good": ("✓", "green"), "note": ("–", "yellow"), "bad": ("✗", "red")}
State = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The outcome of a check.

    Attributes
    ----------
    name : str
    state : str
        ``"good"``, ``"bad"``, or ``"note"`` for a limit that is not a fault.
    said : str
        What the check saw.
    remedy : str
        What to do; empty if there is nothing to do.

    """

    name: str
    state: State
    said: str
    remedy: str = ""


@command("doctor", "whether everything is in place on this machine, and what to do where not", JSON)
def doctor(options: Namespace) -> int:
    """Examine this machine, and print each diagnosis as soon as it is there; a note is not a fault."""
    diagnoses = []
    for diagnosis in examine():
        diagnoses.append(diagnosis)
        if not options.json:
            mark, colour = MARKS[diagnosis.state]
            say(f"{painted(mark, colour)} {diagnosis.name:15} {diagnosis.said}")
            if diagnosis.remedy:
                say(f"  {'':15} {painted(diagnosis.remedy, 'dim')}")
    if options.json:
        say_json([asdict(diagnosis) for diagnosis in diagnoses])
    return FOUND if any(diagnosis.state == "bad" for diagnosis in diagnoses) else DONE


def examine() -> Iterator[Diagnosis]:
    """Yield the diagnoses of all `CHECKS` in order; a check that raises is a bad one and does not stop the others."""
    for name, check in CHECKS.items():
        try:
            yield check()
        except Exception as error:  # noqa: BLE001  # a broken machine may raise anything
            yield Diagnosis(name=name, state="bad", said=f"{type(error).__name__}: {error}", remedy=REINSTALL)


def check_python() -> Diagnosis:
    """Report the versions of Python and of the system."""
    import platform

    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Diagnosis(name="python", state="good", said=said)


def check_packages() -> Diagnosis:
    """Compare the installed packages with what the package requires."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    faults, installed = [], {}
    for text in requires("pathlen") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed[requirement.name] = version(requirement.name)
        except PackageNotFoundError:
            faults.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(installed[requirement.name], prereleases=True):
            faults.append(f"{requirement.name} {installed[requirement.name]} is not {requirement.specifier}")
    if faults:
        return Diagnosis(
            name="packages",
            state="bad",
            said="; ".join(faults),
            remedy=f"{Path(sys.executable).name} -m pip install --upgrade pathlen",
        )
    shown = ", ".join(f"{name} {number}" for name, number in installed.items() if name in KEY_PACKAGES)
    return Diagnosis(name="packages", state="good", said=f"{len(installed)} as required, {shown}")


def check_plugin() -> Diagnosis:
    """Check that pytest loads the plugin."""
    from importlib.metadata import entry_points

    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return Diagnosis(
            name="plugin",
            state="note",
            said="PYTEST_DISABLE_PLUGIN_AUTOLOAD is set, so pytest does not load it by itself",
            remedy="pytest -p pathlen.plugin ..., or unset the variable",
        )
    if not any(entry_point.value == "pathlen.plugin" for entry_point in entry_points(group="pytest11")):
        return Diagnosis(name="plugin", state="bad", said="pytest does not know it", remedy=REINSTALL)
    return Diagnosis(name="plugin", state="good", said="pytest loads it")


def check_embedded() -> Diagnosis:
    """Check that the files of the embedded family are undamaged."""
    from pathlen.models.checkpoint import identify
    from pathlen.models.families import FAMILIES

    for spec in FAMILIES["mini"].values():
        identify(spec)
    return Diagnosis(name="embedded family", state="good", said=f"{len(FAMILIES['mini'])} networks are whole")


def check_weights() -> Diagnosis:
    """List the sizes of GPT-2 whose weights are missing on this machine."""
    from pathlen.errors import ModelNotFound
    from pathlen.models.checkpoint import find
    from pathlen.models.families import FAMILIES

    present, missing = [], []
    for size, spec in FAMILIES["gpt2"].items():
        try:
            find(spec)
            present.append(size)
        except ModelNotFound:
            missing.append(size)
    if not missing:
        return Diagnosis(name="GPT-2", state="good", said=f"{', '.join(present)} are on this machine")
    return Diagnosis(
        name="GPT-2",
        state="note",
        said=f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine",
        remedy=f"pathlen fetch {' '.join(missing)}",
    )


def check_devices() -> Diagnosis:
    """List the devices that torch can use."""
    from pathlen.models.loading import refuse_device

    accelerators = []
    for device in ("cuda", "mps"):
        try:
            refuse_device(device, "float32")
            accelerators.append(device)
        except ValueError:
            continue
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    said = f"cpu with {os.cpu_count()} cores (OMP_NUM_THREADS {threads})"
    return Diagnosis(name="devices", state="good", said=", ".join([said, *accelerators]))


def check_memory() -> Diagnosis:
    """List the sizes of GPT-2 that fit into free memory."""
    from pathlen._util.memory import available
    from pathlen.models.families import FAMILIES
    from pathlen.models.loading import WORKING_MEMORY

    free = available()
    if free is None:
        return Diagnosis(name="memory", state="note", said="this system does not tell how much is free")
    fits = [size for size, spec in FAMILIES["gpt2"].items() if 4 * spec.parameters + WORKING_MEMORY < free]
    said = f"{free / 1e9:.1f} GB free: room for {', '.join(fits) or 'none'} of GPT-2 in float32"
    return Diagnosis(name="memory", state="good" if fits else "note", said=said)


def check_cache() -> Diagnosis:
    """Check that the cache's folder can be written to."""
    import tempfile

    from pathlen._util.cache import Cache, folder

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


def check_hub() -> Diagnosis:
    """Report how the Hugging Face Hub is configured; it is not contacted."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Diagnosis(
            name="Hub",
            state="note",
            said="HF_HUB_OFFLINE is set, so nothing can be fetched",
            remedy="unset HF_HUB_OFFLINE, then pathlen fetch NAME",
        )
    return Diagnosis(name="Hub", state="good", said=f"{constants.ENDPOINT} (not asked), cache {constants.HF_HUB_CACHE}")


def _largest_error() -> tuple[float, int]:
    """Return the largest relative error of a measured text against the published double loop, and the number of steps."""
    from pathlen.models.families import spec
    from pathlen.models.loading import load
    from pathlen.passages.shipped import shipped
    from pathlen.traces.reference import loop_steps, relative_error
    from pathlen.traces.tracer import trace

    model = load(spec("mini", "small"))
    measured = trace(model, shipped("tides"), columns=["step_length", "final_norm_step"])
    errors = relative_error(measured, loop_steps(model, measured))
    return float(errors.max()), errors.size


def check_instrument(largest_error: Callable[[], tuple[float, int]] = _largest_error) -> Diagnosis:
    """Compare a measured text with the published double loop; the error and the number of steps can be given instead."""
    error, steps = largest_error()
    said = f"{steps:,} steps against the published double loop: largest relative error {error:.1e}"
    if error < AGREEMENT:
        return Diagnosis(name="instrument", state="good", said=said)
    return Diagnosis(
        name="instrument",
        state="bad",
        said=f"{said}, which is not below {AGREEMENT:g}",
        remedy="try another version of torch, and report it with what `pathlen doctor --json` says",
    )


CHECKS: dict[str, Callable[[], Diagnosis]] = {  # the slowest last
    "python": check_python,
    "packages": check_packages,
    "plugin": check_plugin,
    "embedded": check_embedded,
    "weights": check_weights,
    "devices": check_devices,
    "memory": check_memory,
    "cache": check_cache,
    "hub": check_hub,
    "instrument": check_instrument,
}
