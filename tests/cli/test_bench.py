"""minirnn bench: the table of a cell, and one line for each thing that cannot be measured."""

import json
import sys
from pathlib import Path

import pytest
from commands import command, refused

from minirnn.speed import timing

ROOT = Path(__file__).parents[2]
SMALL = ["--size", "2,3,4,5", "--seconds", "0"]
CELL = """
import autograd.numpy as np
import minirnn


@minirnn.cell(w=("hidden", "input"))
def forgetful(p, h, x):
    h = np.tanh(x @ p.w.T)
    return h, h


number = 3
"""


@pytest.fixture
def cell(tmp_path, monkeypatch):
    path = tmp_path / "bench_forgetful.py"
    path.write_text(CELL)
    monkeypatch.setattr(timing, "SETTLE", 0.0)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield f"{path}:forgetful"
    sys.modules.pop("bench_forgetful", None)


@pytest.mark.slow
def test_a_cell_of_a_file_is_timed(cell, tmp_path):
    done = command("bench", cell, *SMALL, "--json", tmp_path / "figures.json")
    assert done.exit_code == 0, done.output
    for says in ("forgetful: float32, 2 threads", "minirnn (compiled)", "NumPy alone", "python engine", "its products"):
        assert says in done.output
    assert "compiled at first use" in done.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [row["mode"] for row in figures["rows"]] == ["train", "forward"]
    assert figures["rows"][0]["size"] == [2, 3, 4, 5]
    assert figures["rows"][0]["seconds"]["python engine"]["median"] > 0


def test_what_cannot_be_measured_is_one_line(cell):
    for words, says in [
        ([cell, "--against", "keras"], "--against keras came, torch,jax was expected, or one of them"),
        ([cell, "--against", "torch"], "forgetful has no torch twin: define forgetful_torch(input_size, hidden_size)"),
        ([cell, "--against", "jax"], "forgetful has no jax twin: define forgetful_jax(p, state, x)"),
        ([cell, "--size", "2,3,4"], "--size 2,3,4 came, four positive integers B,T,I,H were expected"),
        ([cell.replace("forgetful", "number").replace("bench_number", "bench_forgetful")], "is int, a Cell"),
        (["mgux"], "no cell is called 'mgux'"),
        ([cell, "--dtype", "float16"], "dtype='float16' came"),
    ]:
        assert says in refused("bench", *words)


@pytest.mark.slow
def test_the_readmes_cell_beside_its_twins():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    done = command("bench", ROOT / "examples/leaky_cell.py:leaky_cell", "--against", "torch,jax", *SMALL)
    assert done.exit_code == 0, done.output
    for who in ("torch", "jax"):
        assert f"{who}: the same outputs and gradients" in done.output


@pytest.mark.slow
def test_built_in_cells_are_timed_beside_torchs_layers():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")
    done = command("bench", "lstm", "--against", "torch", *SMALL)
    assert "minirnn (compiled)" in done.output
    assert "torch: the same outputs and gradients" in done.output
