"""What a sweep says where its extra is not installed."""

import sys

import pytest

from minirnn.sweep import cluster, study


@pytest.mark.parametrize("missing", ["dask", "distributed"])
def test_without_dask_it_says_what_to_install(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"runs on Dask, which is not installed: pip install 'minirnn\[sweep\]'"):
        cluster.connect().__enter__()


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"needs Optuna, which is not installed: pip install 'minirnn\[sweep\]'"):
        study.import_optuna()
