"""Code for processors that can less than this one runs here too, and computes the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from few import few

llvm = pytest.importorskip("llvmlite.binding", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

CELLS = ["LSTM", "LayerNormGRU", "sLSTM", "mLSTM", "ConvLSTM"]


@pytest.mark.parametrize("cells", few([["LSTM"], CELLS], [["LSTM"]]), ids=["LSTM", "several"])
@pytest.mark.parametrize("name", ["AVX2", "PLAIN"])
def test_cells_run_on_the_code_of_another_target(name, cells):
    features = llvm.get_host_cpu_features()
    if name == "AVX2" and not (features.get("avx2") and features.get("fma")):
        pytest.skip("this processor has no AVX2")
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    run = subprocess.run(
        [sys.executable, str(here / "other_target.py"), name, *cells],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    found = [line.split() for line in run.stdout.splitlines()]
    assert [cell for cell, _, _ in found] == [cell for cell in cells for _ in range(2)]
    for cell, dtype, error in found:
        assert float(error) < (1e-10 if dtype == "float64" else 1e-4), cell
