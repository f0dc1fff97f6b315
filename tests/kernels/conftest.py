"""Every test of a kernel runs on both tiers. Numba compiles for seconds: all but a few cells are for the slow run."""

import pytest

from minirnn.kernels import tier

FEW = ("lstm", "gru")


@pytest.fixture(params=["numpy", "numba"])
def on_tier(request):
    """The tier that the test's kernels run on."""
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba is not installed: pip install 'minirnn[fast]'")
    with tier.tier(request.param):
        yield request.param


def pytest_collection_modifyitems(items):
    for item in items:
        drawn = getattr(item, "callspec", None) and item.callspec.params
        if drawn and drawn.get("on_tier") == "numba" and drawn.get("kind", "lstm") not in FEW:
            item.add_marker(pytest.mark.slow)
