"""How much memory a program may still use: what the machine has free, or its control groups if that is less.

A cluster job or a container is killed at the limit of its control group, however much the machine has. The page cache doesn't
count as used, since the system can drop it: otherwise a checkpoint that was just read would seem to fill the memory that it is
about to be loaded into.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["available", "give_back", "keep_pages"]

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# Version 2 of control groups and version 1: limit, use, and the line of memory.stat that says how much of it is page cache.
SECOND = ("memory.max", "memory.current", "file")
FIRST = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's mallopt
PAGES_KEPT = 1 << 28  # bytes
LARGEST_FROM_KEPT = 1 << 25  # bytes


def available(*, proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Return the bytes of memory that a program may still use; None where the system doesn't say.

    Parameters
    ----------
    proc, groups : Path
        Where Linux says it.

    """
    return min([*_free_on_machine(proc), *_free_in_control_groups(proc, groups)], default=None)


def give_back() -> None:
    """Collect garbage and return freed memory to the system, where the C library can.

    Glibc keeps freed memory for later. After a random network is dropped, that is its full size, beside the next one.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_pages() -> None:
    """Have the C library keep a quarter of a gigabyte of freed memory, and take arrays of up to 32 MB from it.

    A block's arrays are freed when the next block's are created. Fetching new pages each time costs 7 to 20 % of a pass in a
    narrow network.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGEST_FROM_KEPT)
        library.mallopt(TRIM_THRESHOLD, PAGES_KEPT)


def _free_on_machine(proc: Path) -> Iterator[int]:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _free_in_control_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield the bytes left under each limit, from the program's own group up to the root."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (groups / "memory", FIRST) if controllers else (groups, SECOND)
        group = root / path.strip("/")
        for ancestor in (group, *group.parents):
            if not ancestor.is_relative_to(root):
                break
            yield from _left(ancestor, *names)


def _left(group: Path, limit: str, use: str, files: str) -> Iterator[int]:
    allowed, used = ("".join(_lines(group / name)) for name in (limit, use))
    if not allowed.isdigit() or not used.isdigit():
        return  # "max", or this group has no such limit
    cached = [line.split()[1] for line in _lines(group / "memory.stat") if line.split()[0] == files]
    yield max(0, int(allowed) - int(used) + sum(map(int, cached)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
