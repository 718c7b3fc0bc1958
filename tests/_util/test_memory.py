"""Free memory, read from the files of a made-up system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pathlen._util.memory import available

MIB = 1 << 20


def write(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n", encoding="ascii")
    return folder


@pytest.fixture
def system(tmp_path: Path) -> dict[str, Path]:
    """A machine with 900 MiB free, and no control groups yet."""
    proc, groups = write(tmp_path / "proc"), write(tmp_path / "groups")
    (proc / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable:  {900 * 1024} kB\n", encoding="ascii")
    return {"proc": proc, "groups": groups}


def inside(system: dict[str, Path], line: str) -> None:
    write(system["proc"] / "self", cgroup=line)


def test_without_limits_the_machines_free_memory_counts(system: dict[str, Path]) -> None:
    assert available(**system) == 900 * MIB
    inside(system, "0::/job")
    write(system["groups"] / "job", memory__max="max", memory__current=5)
    assert available(**system) == 900 * MIB


def test_free_memory_is_unknown_where_the_system_says_nothing(tmp_path: Path) -> None:
    assert available(proc=tmp_path / "proc", groups=tmp_path / "groups") is None


def test_a_jobs_limit_counts_and_the_page_cache_does_not(system: dict[str, Path]) -> None:
    inside(system, "0::/job/step")
    step = write(system["groups"] / "job" / "step", memory__max=500 * MIB, memory__current=480 * MIB)
    assert available(**system) == 20 * MIB
    write(step, memory__stat=f"anon {80 * MIB}\nfile {400 * MIB}\nfile_dirty 7")
    assert available(**system) == 420 * MIB
    write(system["groups"] / "job", memory__max=100 * MIB, memory__current=110 * MIB)  # above the step's own
    assert available(**system) == 0


def test_version_1_of_control_groups_counts_too(system: dict[str, Path]) -> None:
    inside(system, "12:cpu,cpuacct:/job\n4:memory:/job\n0::/")
    job = write(system["groups"] / "memory" / "job", memory__limit_in_bytes=300 * MIB, memory__usage_in_bytes=200 * MIB)
    assert available(**system) == 100 * MIB
    write(job, memory__stat=f"cache 5\ntotal_cache {50 * MIB}")
    assert available(**system) == 150 * MIB


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux has /proc")
def test_this_machine_says_how_much_is_free() -> None:
    free, total = available(), Path("/proc/meminfo").read_text("ascii").split()[1]
    assert free is not None
    assert 0 < free < int(total) * 1024


@pytest.mark.timing
def test_memory_freed_between_live_blocks_is_given_back() -> None:
    """Many small blocks are freed in a separate process, which the C library would keep."""
    program = """
from pathlen._util.memory import give_back
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) // 1024
blocks = [bytearray(60_000) for _ in range(5_000)]
live = bytearray(60_000)
full = resident()
del blocks
give_back()
print(full - resident())
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(process.stdout) > 200
