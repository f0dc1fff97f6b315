"""Every test of a kernel runs on both tiers. The slow run takes all cells through Numba, the default one a few."""

import pytest

from minirnn.kernels import tier


@pytest.fixture(params=["numpy", "numba"])
def on_tier(request):
    """The tier that the test's kernels run on."""
    if request.param == "numba" and "numba" not in tier.TIERS:
        pytest.skip("there is no compiled tier")
    with tier.tier(request.param):
        yield request.param
