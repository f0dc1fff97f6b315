"""Each update rule against torch.optim, step by step, live and from golden vectors."""

from pathlib import Path

import numpy as np
import pytest
from optimizer_cases import CASES, record, start, torch_run

from minirnn import optim

GOLDEN = Path(__file__).parents[1] / "golden" / "optimizers.npz"
TOLERANCE = {np.float64: 1e-13, np.float32: 1e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
cases = pytest.mark.parametrize("case", CASES, ids=str)


def our_run(case, dtype):
    parameters = start(dtype)
    return record(parameters, getattr(optim, case.rule)(parameters, **case.options).step)


def compare(case, dtype, ours, theirs, table):
    for name, value in ours.items():
        assert value.dtype == dtype
        error = float(np.max(np.abs(value - theirs[name]) / np.abs(theirs[name]).max()))
        table(f"{case.rule}, {np.dtype(dtype).name}", error, f"{case}: {name}")
        assert error < TOLERANCE[dtype]


@cases
@dtypes
def test_golden_numbers_of_torch(case, dtype, worst_errors):
    with np.load(GOLDEN) as golden:
        theirs = {name: golden[f"{case}/{name}"] for name in start()}
    compare(case, dtype, our_run(case, dtype), theirs, worst_errors("golden"))


@cases
@dtypes
def test_live_numbers_of_torch(case, dtype, torch, worst_errors):
    compare(case, dtype, our_run(case, dtype), torch_run(torch, case, dtype), worst_errors("live"))
