"""`make bench` can run every benchmark: each has the function that it calls, and reads the pictures that it needs."""

import ast
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.depth.bench_depth import true_depths

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*/bench_*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_can_be_run(path: Path) -> None:
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert "main" in functions


def test_pictures_with_a_known_depth_have_a_depth_of_their_own_size() -> None:
    found = true_depths()
    assert "motorcycle" in found
    for name, (rgb, depth) in found.items():
        assert rgb.shape == (*depth.shape, 3), name
        assert np.isfinite(depth).mean() > 0.5, name
