import pytest

from minirnn.tier import tier


@pytest.fixture(params=["numpy", "native"])
def on_tier(request):
    """The tier that the test's cells run on."""
    if request.param == "native":
        pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")
    with tier(request.param):
        yield request.param
