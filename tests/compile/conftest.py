import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Generated modules of these tests go to a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIRNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
