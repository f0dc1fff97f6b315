"""Generated modules on disk: found by a second process, whole, and not needed."""

import os
import subprocess
import sys

import numpy as np
import pytest

import minirnn
from minirnn.compile import engine, files
from minirnn.tier import tier

PROGRAM = """
import sys, numpy as np, minirnn
from minirnn.tier import tier
from minirnn.compile import build
traced = []
original = build.trace
build.trace = lambda *a: traced.append(1) or original(*a)
cell = minirnn.cells.small("mgu", rng=np.random.default_rng(0))
with tier(sys.argv[1]):
    xs = np.ones((4, 2, 2))
    run = lambda xs: minirnn.scan(cell, cell.initial_state(2), xs, engine="compiled")[1]
    out, pull = minirnn.vjp(run, xs)
print(len(traced), out.sum(), pull(np.ones(out.shape))[0].sum())
"""


@pytest.mark.parametrize(("kernels", "traces"), [("numpy", ("1", "0")), ("native", ("1", "1"))])
def test_a_second_process_finds_it(tmp_path, kernels, traces):
    if kernels == "native":
        pytest.importorskip("llvmlite")
    environment = {**os.environ, "MINIRNN_CACHE": str(tmp_path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, kernels], env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    ]
    first, second = (run.stdout.split() for run in runs)
    assert (first[0], second[0]) == traces
    assert first[1:] == second[1:]
    made = {path.suffix for path in tmp_path.iterdir() if path.is_file()}
    assert made == ({".py"} if kernels == "numpy" else {".o"})


SCRIPT = """
import autograd.numpy as np, numpy as onp, minirnn, settings

class Config:
    gain = 2.0

@minirnn.cell(w=("hidden", "input"))
def edited(p, h, x):
    h = 0.5 * h + Config.gain * settings.gain * (x @ p.w.T)
    return h, h

cell = edited(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64)
run = lambda way: minirnn.scan(cell, onp.ones((2, 3)), onp.ones((4, 2, 2)), engine=way)[1].sum()
print(run("auto") - run("python"), run("python"))
"""


def test_a_script_that_is_edited_between_two_runs_computes_what_it_says(tmp_path):
    environment, found = {**os.environ, "MINIRNN_CACHE": str(tmp_path / "cache")}, []
    (tmp_path / "settings.py").write_text("gain = 0.5\n")
    for script in (SCRIPT, SCRIPT.replace("gain = 2.0", "gain = 3.0")):
        (tmp_path / "script.py").write_text(script)
        command = [sys.executable, "-B", "-W", "error", str(tmp_path / "script.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append([float(number) for number in done.stdout.split()])
    assert max(abs(difference) for difference, _ in found) < 1e-12
    assert found[0][1] != found[1][1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right: "",
        lambda right: right[: len(right) // 2],
        lambda right: right.replace("import numpy", "import missing"),
        lambda right: right.replace("np.tanh(", "np.sinh("),
    ],
    ids=["nothing", "half", "what cannot be imported", "another cell"],
)
def test_a_file_that_holds_something_else_is_made_again(wrong, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path))
    cell = minirnn.cells.small("mgu", rng=np.random.default_rng(0))
    run = lambda: minirnn.scan(cell, cell.initial_state(2), np.ones((4, 2, 2)), engine="compiled")[1]
    with tier("numpy"):
        engine._known.clear()
        expected, (path,) = run(), tmp_path.glob("*.py")
        right = path.read_text()
        path.write_text(wrong(right))
        assert path.read_text() != right
        engine._known.clear()
        assert np.array_equal(run(), expected)
        assert path.read_text() == right


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path / "file"))
    module = files.write("anything", "VALUE = 3\n")
    assert module.VALUE == 3


def test_a_damaged_file_is_made_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path))
    (tmp_path / "broken.py").write_text("def (")
    assert files.kept("broken") is None
    assert "is made again" in caplog.text
    assert files.kept("missing") is None


def test_the_folder_is_the_users_own(monkeypatch):
    monkeypatch.delenv("MINIRNN_CACHE")
    assert "minirnn" in str(files.folder())


@pytest.mark.parametrize("emitter", ["numpy", "native"])
def test_a_name_says_the_cell_and_the_emitter(emitter):
    name = files.name_of("MGU", ("key", np.float32), emitter)
    assert name.startswith(f"MGU_{emitter}_")
    assert name != files.name_of("MGU", ("key", np.float64), emitter)
    assert minirnn.__version__ in files._machine()
