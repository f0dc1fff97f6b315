"""Each update rule against torch.optim, step by step, live and from golden vectors."""

from pathlib import Path

import numpy as np
import pytest
from optim_cases import CASES, flat, record, start, torch_run

from minirnn import optim

GOLDEN = Path(__file__).parents[1] / "golden" / "optim.npz"
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
cases = pytest.mark.parametrize("case", CASES, ids=str)


def our_run(case, dtype):
    parameters = start(dtype)
    return record(parameters, getattr(optim, case.rule)(parameters, **case.options).step)


def compare(case, dtype, theirs, table):
    ours = our_run(case, dtype)
    assert all(value.dtype == dtype for value in ours.values())
    size = np.maximum.accumulate(np.abs(theirs))  # so far: an entry near 0 keeps the rounding of where it came from
    errors = np.abs(flat(ours) - theirs) / size
    step, entry = np.unravel_index(errors.argmax(), errors.shape)
    table(f"{case.rule}, {np.dtype(dtype).name}", errors.max(), f"{case}: step {step}, entry {entry}")
    assert errors.max() < TOLERANCE[dtype]


@cases
@dtypes
@pytest.mark.usefixtures("on_tier")
def test_golden_numbers_of_torch(case, dtype, worst_errors):
    with np.load(GOLDEN) as golden:
        compare(case, dtype, golden[str(case)], worst_errors("golden"))


@cases
@dtypes
def test_live_numbers_of_torch(case, dtype, torch, worst_errors):
    compare(case, dtype, flat(torch_run(torch, case, dtype)), worst_errors("live"))
