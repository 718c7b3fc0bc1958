"""The page on real models is right: its table, its script for a cluster, its options."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from project import DOCS, PROJECT

PAGE = (DOCS / "real-models.md").read_text("utf-8")
TABLE = PROJECT / "tests" / "benchmarks" / "FULL_SHAPE.md"


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("full_shape", TABLE.with_name("test_full_shape.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_matches_the_benchmark(benchmark_module: ModuleType, tmp_path: Path) -> None:
    copy = tmp_path / "table.md"
    copy.write_bytes(TABLE.read_bytes())
    rows = benchmark_module.table({}, copy)
    assert copy.read_bytes() == TABLE.read_bytes()  # the benchmark wrote all of it
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    benchmark_module.into(page, benchmark_module.short(rows))
    assert page.read_text("utf-8") == PAGE
    assert len(rows) >= 2


def test_rows_of_other_sizes_are_kept(benchmark_module: ModuleType, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    row = "| {} | {} | GPT-2 | 14 | 4,561 | {} | 6.23 | 9 | 999 | {} | {} | 1.00 | x |"
    measured = {
        (size, effort): row.format(size, effort, 1, 60, 2) for size in ("xl", "small") for effort in ("none", "quick")
    }
    benchmark_module.table(measured, table)
    remeasured = {("small", "quick"): row.format("small", "quick", 1, 90, 3)}
    rows = benchmark_module.table(remeasured, table)
    assert [benchmark_module.row_key(row) for row in rows] == [
        ("small", "none"),
        ("small", "quick"),
        ("xl", "none"),
        ("xl", "quick"),
    ]
    assert benchmark_module.short(rows).splitlines()[2:] == [
        "| small | 1 | 3.0 | 1.0 | 1.5 |",
        "| xl | 1 | 2.0 | 1.0 | 1.0 |",
    ]


@pytest.mark.parametrize(("pytest_status", "job_status"), [(0, 0), (1, 0), (2, 2)])
def test_the_script_for_a_cluster_runs_one_size_per_job(tmp_path: Path, pytest_status: int, job_status: int) -> None:
    (script,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    command = tmp_path / "pytest"
    command.write_text(
        f'#!/bin/sh\necho "$@ offline=$HF_HUB_OFFLINE threads=$OMP_NUM_THREADS"\nexit {pytest_status}\n',
        encoding="utf-8",
    )
    command.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "2", "SLURM_CPUS_PER_TASK": "8"}
    job = subprocess.run(["bash", "-uc", script], env=environment, capture_output=True, text=True, check=False)
    assert job.stdout == "claims/ --family gpt2 --size large --report reports/large offline=1 threads=8\n"
    assert (job.returncode, job.stderr) == (job_status, "")


def test_its_options_exist() -> None:
    paths = (PROJECT / "pathlen" / "plugin.py", *sorted((PROJECT / "pathlen" / "cli").glob("*.py")))
    sources = "".join(path.read_text("utf-8") for path in paths)
    options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", PAGE))
    assert {"--record", "--claims", "--dry-run"} <= options
    for option in options - {"--array", "--job-name", "--cpus-per-task", "--mem", "--time"}:
        assert f'"{option}"' in sources, option
