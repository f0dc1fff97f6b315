"""What a cluster of our own leaves behind."""

import os

import pytest

pytest.importorskip("distributed", reason="dask is not installed: pip install 'minirnn[sweep]'")

from minirnn.sweep.cluster import connect


def test_a_cluster_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = dict(os.environ)
    with connect(workers=1) as client:
        assert client.submit(os.getpid).result() != os.getpid()
    assert dict(os.environ) == before
