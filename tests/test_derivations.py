"""The table of derivations: what passes, what fails, and what it has nothing to say about."""

import json
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import derivations, engines, functional, loop
from minirnn.derivations import METHODS, Problem, compare
from minirnn.derivations.analytic import what_is_not_analytic
from minirnn.layers import cells
from minirnn.primitive import primitive

BUILTIN = derivations.builtin_cells()
WITHOUT_BIASES = {n: cell for n, cell in derivations.registered_cells().items() if n not in {*BUILTIN, *cells.names()}}
EXACT = ["BPTT by hand", "RTRL", "forward mode", "complex step"]


def problem(cell, steps=4, batch=3):
    return Problem(cell.astype(np.float64), 0, steps, batch)


def verdicts(cell, *names):
    """The verdicts of some methods; n/a where one raises NotApplicable."""

    def verdict(name):
        try:
            return METHODS[name](problem(cell)).verdict
        except (derivations.NotApplicable, NotImplementedError):
            return "n/a"

    return [verdict(name) for name in names]


def cell_of(function, **options):
    """A cell that is a plain RNN with `function` in place of tanh."""

    @minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"), **options)
    def with_function(p, h, x):
        h = function(0.3 + x @ p.w.T + h @ p.u.T)
        return h, h

    return with_function(2, 3, rng=np.random.default_rng(0))


# ---------------------------------------------------------------- right gradients pass
# `minirnn check`, whose test is in tests/cli, finds the same of all of them
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "LSTM" else pytest.mark.slow) for name in BUILTIN]
)
def test_every_derivation_of_the_builtin_cells_agrees(name):
    comparison = compare(BUILTIN[name], steps=3)
    assert comparison.ok, str(comparison)
    found = {method: finding.verdict for method, finding in comparison.findings.items() if method in METHODS}
    assert found == dict.fromkeys(METHODS, "PASS") | ({"complex step": "n/a"} if name == "RNN relu" else {})
    exact = [comparison.findings[method].error for method in EXACT]
    assert all(error < 1e-12 for error in exact if error is not None)
    assert comparison.findings["finite differences"].error < 1e-6
    assert not comparison.zero


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_BIASES)
def test_every_derivation_of_the_registered_cells_without_biases_agrees(name):
    comparison = compare(WITHOUT_BIASES[name])
    assert comparison.ok, str(comparison)


@pytest.mark.parametrize("cell", [minirnn.RNNCell, minirnn.LSTMCell, minirnn.GRUCell])
def test_cells_without_biases_agree_too(cell):
    assert verdicts(cell(2, 3, bias=False), *EXACT) == ["PASS"] * 4


def test_every_cell_of_the_zoo_is_registered():
    registered = derivations.registered_cells()
    assert {*BUILTIN, *cells.names()} < set(registered)
    assert all(isinstance(cell, minirnn.Cell) for cell in registered.values())


@pytest.mark.parametrize("made", [derivations.builtin_cells, derivations.registered_cells])
def test_the_cells_that_are_checked_are_the_same_every_time_and_hide_no_transpose(made):
    again = made()
    for name, cell in made().items():
        assert cell.input_size != cell.hidden_size, name  # a square matrix hides that it is transposed
        twin = again[name].state_dict()
        assert all(np.array_equal(array, twin[path]) for path, array in cell.state_dict().items()), name


class Inputs(NamedTuple):
    x: np.ndarray
    keep: np.ndarray
    index: np.ndarray


class Zoneout(minirnn.Cell):
    """Noise, integers and a projection with parameters, all from `inputs`; a state of two arrays."""

    def __init__(self, rng):
        self.input_size, self.hidden_size = 2, 3
        self.w = minirnn.Parameter(rng.standard_normal((3, 2)))
        self.u = minirnn.Parameter(rng.standard_normal((3, 3)))
        self.by_step = minirnn.Parameter(rng.standard_normal((4, 3)))

    def initial_state(self, batch_size, dtype=None):
        return tuple(np.zeros((batch_size, 3), dtype or self.dtype) for _ in "ab")

    def inputs(self, xs, *, rng=None):
        steps, batch = anp.shape(xs)[:2]
        keep = (rng.random((steps, batch, 3)) < 0.5) * 1.0
        index = np.broadcast_to(np.arange(steps)[:, None], (steps, batch))
        return Inputs(functional.linear(xs, self.w), keep, index)

    def step(self, state, x):
        a, b = state
        new = anp.tanh(x.x + functional.linear(a, self.u) + self.by_step[x.index] * b)
        return (x.keep * a + (1 - x.keep) * new, 0.5 * b + new), new * a


def test_noise_indices_and_parameters_in_inputs_are_differentiated_too(rng):
    assert verdicts(Zoneout(rng), *METHODS) == ["n/a", "PASS", "PASS", "PASS", "PASS"]


def test_a_subclass_of_a_builtin_cell_is_not_taken_for_it():
    class Doubled(minirnn.GRUCell):
        def step(self, h, x):
            return super().step(h, 2 * x)

    assert verdicts(Doubled(2, 3), "BPTT by hand", "RTRL") == ["n/a", "PASS"]


def test_frozen_parameters_take_no_part():
    cell = minirnn.LSTMCell(2, 3, rng=np.random.default_rng(0)).freeze("bias*")
    assert "bias_ih" not in problem(cell).reference
    assert verdicts(cell, *EXACT) == ["PASS"] * 4


def test_gradients_that_are_zero_throughout_are_named():
    comparison = compare(cell_of(anp.tanh, idle=("hidden",)), steps=2, batch=1)
    assert comparison.zero == ("idle",)
    assert comparison.ok
    assert "zero throughout: idle" in str(comparison)


# ---------------------------------------------------------------- wrong ones do not
right, wrong = (lambda d, y, x: d * (1 - y * y)), (lambda d, y, x: d * (1 - y))
wrong_backward = primitive(np.tanh, [wrong], [right])
wrong_tangent = primitive(np.tanh, [right], [wrong])


def test_a_wrong_backward_fails_everything_that_does_not_rest_on_it():
    comparison = compare(cell_of(wrong_backward), steps=3)
    assert not comparison.ok
    found = {name: comparison.findings[name].verdict for name in METHODS}
    assert found == {"BPTT by hand": "n/a"} | dict.fromkeys(list(METHODS)[1:], "FAIL")
    assert "FAIL" in str(comparison)


def test_a_wrong_tangent_fails_what_goes_forward():
    assert verdicts(cell_of(wrong_tangent), "RTRL", "forward mode", "complex step") == ["FAIL", "FAIL", "PASS"]


def test_the_array_with_the_wrong_gradient_is_named():
    spoilt = primitive(np.add, [lambda g, y, a, b: g, lambda g, y, a, b: 1.001 * g])

    @minirnn.cell(w=("hidden", "input"), b=("hidden",))
    def leaky(p, h, x):
        h = 0.5 * h + anp.tanh(x @ p.w.T)
        return h, spoilt(h, p.b * h)

    finding = METHODS["complex step"](problem(leaky(2, 3, rng=np.random.default_rng(0))))
    assert finding.verdict == "FAIL"
    assert finding.worst == "b"
    assert 1e-5 < finding.error < 1.1e-3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_fails_wherever_it_is():
    @minirnn.cell(w=("hidden", "input"), b=("hidden",))
    def rooted(p, h, x):
        h = 0.5 * h + anp.tanh(x @ p.w.T) + anp.sqrt(0 * p.b)  # 0, with the derivative 0 * inf
        return h, h

    of = problem(rooted(2, 3))
    assert np.isfinite(of.reference["w"]).all()
    finding = of.judge(of.gradient(of.arrays))
    assert (finding.verdict, finding.worst) == ("FAIL", "b")
    comparison = compare(rooted(2, 3), steps=1, batch=1)
    assert not comparison.ok
    assert json.loads(json.dumps(comparison.as_dict()))["findings"]["forward mode"]["error"] == "nan"


def test_hidden_noise_fails_with_its_reason():
    noise = np.random.default_rng(0)
    finding = METHODS["finite differences"](problem(cell_of(lambda a: anp.tanh(a) + noise.standard_normal())))
    assert finding.verdict == "FAIL"
    assert finding.reason.startswith("nondeterministic")


# ---------------------------------------------------------------- the complex step
def branch(a):
    return a if anp.sum(a) > 0 else -a


ANALYTIC = {
    "exp": lambda a: anp.exp(-a * a),
    "powers": lambda a: a**2 / (1 + a * a) ** 0.5,
    "sum, mean": lambda a: a - anp.sum(a, axis=1, keepdims=True) + a.mean(axis=0),
    "concatenate": lambda a: anp.concatenate([a[:, 1:], anp.sin(a[:, :1])], axis=1),
    "constant mask": lambda a: anp.where(np.array([True, False, True]), a, anp.cosh(a)),
    "sigmoid": functional.sigmoid,
    "gelu": functional.gelu,
    "split": lambda a: anp.concatenate(functional.split(functional.silu(a), 3)[::-1], axis=1),
    "LayerNorm": minirnn.LayerNorm(3, elementwise_affine=False),
}
NOT_ANALYTIC = {
    "abs": (anp.abs, "absolute"),
    "relu": (functional.relu, "maximum"),
    "relu by where": (lambda a: anp.where(a > 0, a, 0.0), "greater"),
    "relu by product": (lambda a: a * (a > 0), "greater"),
    "sign": (lambda a: a * anp.sign(a), "sign"),
    "clip": (lambda a: anp.clip(a, -1, 1), "clip"),
    "max": (lambda a: a - anp.max(a, axis=1, keepdims=True), "max"),
    "softplus": (functional.softplus, "logaddexp"),
    "branch": (branch, "branch"),
    "real": (lambda a: anp.real(a) * a, "real"),
    "conjugate": (lambda a: anp.conj(a) * a, "conjugate"),
    "sorted": (lambda a: anp.sort(a, axis=1), "sort"),
    "converted inside": (primitive(lambda x: np.asarray(x) * 2, [lambda g, y, x: 2 * g]), "conversion"),
    "cast": (lambda a: a.astype(np.float64), "astype"),
}


@pytest.mark.parametrize("function", ANALYTIC.values(), ids=ANALYTIC)
def test_complex_step_passes_where_the_step_is_analytic(function):
    assert METHODS["complex step"](problem(cell_of(function))).verdict == "PASS"


@pytest.mark.parametrize(("function", "reason"), NOT_ANALYTIC.values(), ids=NOT_ANALYTIC)
def test_complex_step_says_nothing_where_it_is_not(function, reason):
    with pytest.raises(derivations.NotApplicable, match=reason):
        METHODS["complex step"](problem(cell_of(function)))


@pytest.mark.parametrize("last", [1, 2, 3])
def test_every_step_is_looked_at_for_what_is_not_analytic(last):
    calls = []
    made = problem(cell_of(lambda a: calls.append(a) or (anp.abs(a) if len(calls) == last else a)), steps=3)
    calls.clear()
    assert what_is_not_analytic(made) == ["absolute"]


# ---------------------------------------------------------------- the table
def test_every_engine_is_a_column(monkeypatch):
    def run(factor):
        def scaled(call):
            final, outputs = loop.run(call.cell.step, call.state, call.xs, call.lengths, call.reverse)
            return final, factor * outputs

        return lambda call: lambda: scaled(call)

    made = [
        engines.Engine("right", run(1.0)),
        engines.Engine("wrong", run(1.1)),
        engines.Engine("picky", lambda call: "it is too hot"),
    ]
    monkeypatch.setattr(engines, "_engines", [*made, *engines._engines[-1:]])
    findings = compare(minirnn.RNNCell(2, 3, dtype=np.float64), steps=2, batch=1).findings
    assert [findings[f"engine {name}"].verdict for name in ("right", "wrong", "picky")] == ["PASS", "FAIL", "n/a"]
    assert "too hot" in findings["engine picky"].reason
    assert "engine python" not in findings


@pytest.mark.slow
def test_the_result_is_plain_and_repeatable():
    first, second = (compare(BUILTIN["RNN relu"], steps=2, seed=3) for _ in "12")
    assert first == second
    assert json.loads(json.dumps(first.as_dict())) == first.as_dict()
    assert first.as_dict()["findings"]["complex step"]["error"] is None
    assert str(first).startswith("RNNCell(3, 4): PASS\n  BPTT by hand         PASS")


def test_float32_cells_are_compared_in_float64_and_stay_as_they_are():
    cell = minirnn.RNNCell(2, 3)
    before = cell.state_dict()
    assert compare(cell, steps=1, batch=1).ok
    assert all(np.array_equal(before[name], value) for name, value in cell.state_dict().items())
    assert cell.dtype == np.float32


class Counting(minirnn.RNNCell):
    def initial_state(self, batch_size, dtype=None):
        return np.zeros((batch_size, 3), int)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: compare(minirnn.RNNCell), TypeError, "the class RNNCell came, a Cell was expected, built small"),
        (lambda: compare(minirnn.RNN(2, 3)), TypeError, "RNN came"),
        (lambda: compare(BUILTIN["GRU"], steps=0), ValueError, "steps=0 and batch=3 came, at least 1"),
        (lambda: compare(BUILTIN["GRU"], batch=0), ValueError, "batch=0"),
        (lambda: compare(Counting(2, 3)), TypeError, "the state  ?is int64, a float array was expected"),
        (
            lambda: METHODS["RTRL"](problem(minirnn.GRUCell(30, 30))),
            derivations.NotApplicable,
            "build the cell smaller",
        ),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_says_why(call, error, says):
    with pytest.raises(error, match=says):
        call()
