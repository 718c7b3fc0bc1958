"""The recipe of ``docs/cluster.md``, followed word for word: ``pytest -m slurm`` as root, with slurm-wlm and munge installed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import DOCS

from pathlen.corpora.measure import measure_corpus
from pathlen.models.families import spec
from pathlen.passages.files import texts_of
from pathlen.passages.shipped import NAMES, shipped

pytestmark = pytest.mark.slurm
PAGE = DOCS / "cluster.md"


def block(begins: str) -> str:
    """Return the block of code on the page that begins with this text."""
    blocks: list[str] = re.findall(r"```(?:\w*)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return next(code for code in blocks if code.startswith(begins))


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm with this machine as its only node."""
    for program in ("slurmctld", "slurmd", "munged"):
        if not shutil.which(program):
            pytest.fail(f"{program} is not installed: apt-get install slurm-wlm munge")
    for name in ("state", "spool", "log"):
        (tmp_path / name).mkdir()
    conf = block("ClusterName")
    for name, value in (
        ("HOST", socket.gethostname().split(".")[0]),
        ("CPUS", str(os.cpu_count())),
        ("FOLDER", str(tmp_path)),
    ):
        conf = re.sub(rf"\b{name}\b", value, conf)
    (tmp_path / "slurm.conf").write_text(conf, encoding="utf-8")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
    munged = None
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
        output_of("install", "-d", "-o", "munge", "-g", "munge", "/run/munge")
        munged = subprocess.Popen(["runuser", "-u", "munge", "--", "munged", "-F"])
        time.sleep(1)
    daemons = [subprocess.Popen([program, "-D"], stderr=subprocess.DEVNULL) for program in ("slurmctld", "slurmd")]
    try:
        for _ in range(60):
            if "idle" in subprocess.run(["sinfo"], capture_output=True, text=True, check=False).stdout:
                break
            time.sleep(0.5)
        else:
            pytest.fail("\n".join(path.read_text("utf-8") for path in (tmp_path / "log").iterdir()))
        yield tmp_path
    finally:
        for daemon in [*reversed(daemons), *([munged] if munged else [])]:
            daemon.terminate()
            daemon.wait()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shards/*/*") if path.is_file()}


def test_the_recipe_gives_what_a_single_process_does_even_if_a_job_is_cancelled(slurm: Path) -> None:
    texts, folder, script = slurm / "texts.txt", slurm / "corpus", slurm / "script.py"
    lines = [f"Take {turn}. {shipped(name).text}".replace("\n", " ") for turn in range(16) for name in NAMES]
    texts.write_text("\n".join(lines), encoding="utf-8")
    script.write_text(block("import sys"), encoding="utf-8")
    run = subprocess.Popen(
        [sys.executable, str(script), str(texts), str(folder)], cwd=slurm, stdout=subprocess.PIPE, text=True
    )
    try:
        start = time.monotonic()
        while len(files(folder)) < 1:
            assert run.poll() is None
            assert time.monotonic() - start < 300, output_of("squeue")
            time.sleep(0.2)
        jobs = output_of("squeue", "--noheader", "--format=%i %T").splitlines()
        running = [job.split()[0] for job in jobs if job.endswith("RUNNING")]
        assert running
        output_of("scancel", running[0])
        out, _ = run.communicate(timeout=600)
    finally:
        run.kill()
    assert run.returncode == 0
    assert "224 texts" in out
    serial = measure_corpus(spec("mini", "small"), texts_of([str(texts)], split="lines"), slurm / "serial")
    assert len(serial.manifest.shards) >= 5
    assert files(folder) == files(serial.folder)
    print(f"\n{out.strip()}; jobs {jobs}, {running[0]} cancelled; equal to serial: {len(files(folder))} shards")
