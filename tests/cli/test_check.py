import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minirnn import derivations
from minirnn.cli import app
from minirnn.derivations import Comparison, Finding

MODULE = """
import autograd.numpy as np
import numpy
import minirnn

@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
def right_cell(p, h, x):
    h = np.tanh(x @ p.w.T + h @ p.u.T)
    return h, h

wrong_square = minirnn.primitive.primitive(lambda x: x * x, [lambda g, y, x: 3 * x * g])

@minirnn.cell(w=("hidden", "input"))
def wrong_cell(p, h, x):
    h = 0.5 * h + wrong_square(x @ p.w.T)
    return h, h

@minirnn.cell(w=("memory", "input"))
def sized_cell(p, h, x):
    return h, x @ p.w.T

instance = right_cell(2, 3)

def cube(x):
    return x**3

def cube_backward(g, x):
    return 2 * g * x**2

def right(g, x):
    return 3 * g * x**2

def plane(x, y):
    return np.sum(x @ y)

def plane_args():
    return numpy.ones((2, 3)), numpy.ones((3, 2))

number = 3
"""

THEIRS = """
import autograd.numpy as np
import numpy
import minirnn

def misnamed(x):
    return x**3

def misnamed_backwards(g, x):
    return 2 * g * x**2

class Outside(Exception):
    pass

def bounded(x):
    if numpy.any(x <= 0):
        raise Outside("x > 0")
    return numpy.log(x)

def bounded_backward(g, x):
    return g / x

def bounded_args():
    return numpy.array([0.1, 1.0, 3.0])

class Layer:
    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def forward_backward(g, x):
        return 2 * g * x

def asserts(x):
    assert False, "never"

def buggy(x):
    return undefined(x)

def scarce(x):
    return x

def scarce_args():
    return numpy.ones(3) / undefined

@minirnn.cell(w=("hidden", "input"))
def asserting_cell(p, h, x):
    assert numpy.ndim(x) == 3, "three axes"
    return h, h

@minirnn.cell(w=("hidden", "input"))
def real_cell(p, h, x):
    h = np.tanh(x @ p.w.T + h)
    if getattr(h, "dtype", None) != float:
        raise Outside("real numbers")
    return h, h
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)
    return "mine.py"


def check(*words):
    done = CliRunner().invoke(app, ["check", *words])
    assert "Traceback" not in done.output
    return done.exit_code, done.output


@pytest.mark.slow
def test_the_builtin_cells_pass(monkeypatch):
    compare = derivations.compare
    monkeypatch.setattr(derivations, "compare", lambda cell, seed: compare(cell, seed=seed, steps=3, batch=2))
    code, output = check()
    assert code == 0, output
    for word in ("LSTM", "GRU", "RNN relu", "BPTT", "RTRL", "complex", "finite", "PASS"):
        assert word in output
    assert "complex step n/a: not known to be analytic: maximum" in output


@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
def test_all_covers_every_registered_cell(monkeypatch, verdict):
    """That all of them pass is for the tests of the derivations, and of the zoo, to find: one cell each."""

    def compared(cell, seed):
        found = Finding(verdict if getattr(cell, "bias_ih", 0) is None else "PASS", 0.0, 1e-10, "input")
        return Comparison(type(cell).__name__, {"RTRL": found})

    monkeypatch.setattr(derivations, "compare", compared)
    code, output = check("--all", "--json")
    found = json.loads(output)
    assert list(found) == list(derivations.registered_cells())
    assert code == (verdict == "FAIL")
    assert found["LSTM, no bias"]["ok"] == (verdict == "PASS")


@pytest.mark.parametrize(("name", "code"), [("right_cell", 0), ("instance", 0), ("wrong_cell", 1)])
def test_a_cell_of_ones_own(file, name, code):
    found, output = check(f"{file}:{name}")
    assert found == code, output
    assert ("FAIL" in output) == bool(code)


def test_a_module_of_the_current_folder(file):
    assert check("mine:right_cell")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["cube", "--shapes", "2x3"], 1, "mismatch"),
        (["cube", "--shapes", "2x3", "--backward", "right"], 0, "the gradient is right"),
        (["cube", "--shapes", "2x3", "--backward", "mine:right"], 0, "the gradient is right"),
        (["plane"], 0, "the gradient is right"),
        (["plane"], 0, "gradcheck: ok (autograd's gradient of plane)"),
        (["cube", "--shapes", "2x3"], 1, "gradcheck: mismatch (cube_backward, the backward of cube)"),
        (["cube", "--shapes", "2x3", "--backward", "autograd"], 0, "autograd's gradient of cube"),
    ],
)
def test_a_function_and_its_backward(file, words, code, says):
    found, output = check(f"{file}:{words[0]}", *words[1:])
    assert found == code, output
    assert says in output
    assert json.loads(check(f"{file}:{words[0]}", *words[1:], "--json")[1])["ok"] == (code == 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mine.py"], "package.module:name or path/to/file.py:name was expected"),
        (["nothing.py:f"], "no such file"),
        (["nothing_there:f"], "cannot be imported: ModuleNotFoundError"),
        (["mine.py:other"], "has no 'other'; it has cube"),
        (["mine.py:number"], "number is int, a Cell or a function was expected"),
        (["mine.py:cube"], "define cube_args() beside it"),
        (["mine.py:cube", "--shapes", "2by3"], "shapes as in"),
        (["mine.py:cube", "--shapes", "2", "--backward", "number"], "no such function"),
        (["mine.py:right_cell", "--shapes", "2"], "mine.py:right_cell is a Cell"),
        (["mine.py:sized_cell"], "name an instance in place of the class"),
        (["theirs.py:misnamed", "--shapes", "3"], "misnamed_backwards beside misnamed looks like its backward"),
        (["theirs.py:asserts", "--shapes", "3"], "asserts raises AssertionError: never (theirs.py, line"),
        (["theirs.py:buggy", "--shapes", "3"], "raises NameError: name 'undefined' is not defined"),
        (["theirs.py:bounded", "--shapes", "40"], "raises Outside: x > 0"),
        (["theirs.py:scarce"], "scarce_args raises NameError"),
        (["theirs.py:asserting_cell"], "raises AssertionError: three axes"),
        (["--shapes", "2"], "belong to a function"),
        (["--all", "mine.py:cube"], "give one of them"),
    ],
)
def test_bad_targets_and_options_are_one_line(file, words, says):
    code, output = check(*words)
    assert code == 2, output
    assert says in output
    assert len(output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["misnamed", "--shapes", "3", "--backward", "misnamed_backwards"], 1, "misnamed_backwards"),
        (["misnamed", "--shapes", "3", "--backward", "autograd"], 0, "the gradient is right"),
        (["bounded"], 0, "the gradient is right"),
        (["Layer.forward", "--shapes", "3"], 0, "forward_backward, the backward of forward"),
    ],
)
def test_backwards_under_other_names_and_bounded_domains(file, words, code, says):
    found, output = check(f"theirs.py:{words[0]}", *words[1:])
    assert found == code, output
    assert says in output


def test_a_cell_that_refuses_complex_numbers_by_an_error_of_its_own_is_still_checked(file):
    code, output = check("theirs.py:real_cell")
    assert code == 0, output
    assert "complex step n/a" in output


def test_the_notes_network_is_found_out_by_one_command():
    example = Path(__file__).parents[2] / "examples" / "lstm_that_never_learned.py"
    code, output = check(f"{example}:tied_step")
    assert code == 1
    assert "h: the gradient is 0.25 (1/4) times what it should be" in output
    assert "c: " not in output
    assert check(f"{example}:tied_step", "--backward", "true_tied_step_backward")[0] == 0
