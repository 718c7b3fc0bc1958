"""The cost of half precision: ``pytest tests/benchmarks/test_precision.py -s``.

The shipped passages are measured with each embedded network in float64 and in every other type. The table shows how far path
lengths and correlations are from those in float64. With ``PATHLEN_PRECISION_TABLE=FILE`` it is written to a file.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pathlen import SIZES
from pathlen.columns.measurement import Measurement
from pathlen.models.families import spec
from pathlen.models.loading import DTYPES, load
from pathlen.passages.choose import chosen
from pathlen.stats import pearson
from pathlen.traces.tracer import measure_passages

HEADER = """# What half precision costs

Distance from float64, on the embedded family and the shipped passages: the median and the largest relative error of a
token's total path length and of its last step, and by how much r of last step and next logit moves. Made by
`PATHLEN_PRECISION_TABLE=tests/benchmarks/PRECISION.md pytest tests/benchmarks/test_precision.py`.

| network | type | path length, median | largest | last step, median | largest | r | moved by |
|---|---|---|---|---|---|---|---|
"""
LARGEST = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}  # largest relative error of any token's path length


def r(measured: Measurement) -> float:
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage).value


def test_narrow_types_stay_near_float64(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for size in SIZES:
        by_dtype = {dtype: measure_passages(load(spec("mini", size), dtype=dtype), chosen([])) for dtype in DTYPES}
        exact = by_dtype.pop("float64")
        for dtype, measured in by_dtype.items():
            pairs = [(measured.total_length, exact.total_length), (measured.last_step, exact.last_step)]
            errors = [np.abs(narrow - wide) / wide for narrow, wide in pairs]
            numbers = [f"{value:.1e}" for error in errors for value in (np.median(error), error.max())]
            lines.append(
                f"| {size} | {dtype} | {' | '.join(numbers)} | {r(measured):.4f} | {r(measured) - r(exact):+.1e} |"
            )
            assert errors[0].max() < LARGEST[dtype], (size, dtype)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    if table := os.environ.get("PATHLEN_PRECISION_TABLE"):
        Path(table).write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
