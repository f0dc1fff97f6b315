"""Compiled code on disk: found by a second process, and never another script's."""

import os
import subprocess
import sys

import pytest

from minirnn.compile.llvm.objects import folder

PROGRAM = """
import sys, numpy as np, minirnn
from minirnn.tier import tier
cell = minirnn.cells.small("mgu", rng=np.random.default_rng(0))
with tier(sys.argv[1]):
    xs = np.ones((4, 2, 2))
    run = lambda xs: minirnn.scan(cell, cell.initial_state(2), xs, engine="compiled")[1]
    out, pull = minirnn.vjp(run, xs)
print(out.sum(), pull(np.ones(out.shape))[0].sum())
"""


@pytest.mark.parametrize(("kernels", "kept"), [("numpy", set()), ("native", {".o"})])
def test_a_second_process_finds_it(tmp_path, kernels, kept):
    if kernels == "native":
        pytest.importorskip("llvmlite")
    environment, printed, files = {**os.environ, "MINIRNN_CACHE": str(tmp_path)}, [], []
    command = [sys.executable, "-c", PROGRAM, kernels]
    for _ in range(2):
        printed.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        files.append({path: path.stat().st_mtime_ns for path in tmp_path.iterdir()})
    assert printed[0] == printed[1]
    assert files[0] == files[1]  # not made again
    assert {path.suffix for path in files[0]} == kept


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


def test_the_folder_is_the_users_own(monkeypatch):
    monkeypatch.delenv("MINIRNN_CACHE")
    assert "minirnn" in str(folder())
