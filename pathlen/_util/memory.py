"""How much memory a program may still take, where the system tells: the machine's, and its control groups' if that is less.

A job of a cluster, or a container, is killed at the limit of its control group, however much the machine has. Pages of files
that the system can drop do not count: a checkpoint that was just read would seem to fill the memory that it is to be loaded
into.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["available", "give_back", "keep_pages"]

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
SECOND = (
    "memory.max",
    "memory.current",
    "file",
)  # limit, use, and the line of memory.stat that says what of it are files
FIRST = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # by these numbers glibc's mallopt knows them
PAGES_KEPT = 1 << 28


def available(*, proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Return the bytes of memory that are free for a program; None where the system doesn't tell.

    Parameters
    ----------
    proc, groups : Path
        Where Linux tells it.

    """
    return min([*_machine(proc), *_control_groups(proc, groups)], default=None)


def give_back() -> None:
    """Let go of what nothing refers to any more, and give memory that was freed back to the system, where C's library can.

    Glibc keeps what was freed for later: after a network that was drawn at random, all of its size, beside the next one.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_pages() -> None:
    """Have C's library keep a quarter of a gigabyte of what is freed, and take arrays up to 32 MB from it.

    A block's arrays are freed when the next block's are made, and pages that are new every time cost: in a narrow network, 7 to
    20 % of a pass.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 1 << 25)
        library.mallopt(TRIM_THRESHOLD, PAGES_KEPT)


def _machine(proc: Path) -> Iterator[int]:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _control_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield what is left under each limit, from the program's own group up."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (groups / "memory", FIRST) if controllers else (groups, SECOND)
        group = root / path.strip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(root):
                break
            yield from _left(place, *names)


def _left(group: Path, limit: str, use: str, files: str) -> Iterator[int]:
    most, used = ("".join(_lines(group / name)) for name in (limit, use))
    if not most.isdigit() or not used.isdigit():
        return  # "max", or no limit of this kind here
    dropped = [line.split()[1] for line in _lines(group / "memory.stat") if line.split()[0] == files]
    yield max(0, int(most) - int(used) + sum(map(int, dropped)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
