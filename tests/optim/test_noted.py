"""Native updates: the formula of each rule's `update`, noted as it runs on stand-ins."""

import math

import numpy as np
import pytest
from optim_cases import CASES

from minirnn import optim
from minirnn.optim import natively
from minirnn.optim.noted import entry_by_entry
from minirnn.tier import tier

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

SHAPES = [(), (0, 3), (1,), (15,), (16,), (17,), (3, 70), (300, 200)]


def run(rule, on, start, batches, **options):
    """The parameters and the state after steps on a tier."""
    parameters = {name: p.copy("K") for name, p in start.items()}
    optimizer = rule(parameters, **options)
    with tier(on):
        for grads in batches:
            optimizer.step(grads)
    return parameters, optimizer.state_dict()["slots"]


def problem(rng, dtype, shapes=SHAPES, steps=4):
    draw = lambda: {str(k): np.asarray(rng.standard_normal(shape), dtype) for k, shape in enumerate(shapes)}
    return draw(), [draw() for _ in range(steps)]


def close(first, second, dtype):
    tolerance = 50 * np.finfo(dtype).eps
    for name in first[0]:
        np.testing.assert_allclose(first[0][name], second[0][name], rtol=tolerance, atol=tolerance)
        for slot, array in first[1][name].items():
            np.testing.assert_allclose(array, second[1][name][slot], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_native_updates_are_those_of_numpy(case, dtype, rng):
    start, batches = problem(rng, dtype)
    rule = getattr(optim, case.rule)
    close(*[run(rule, on, start, batches, **case.options) for on in ("native", "numpy")], dtype)


def test_groups_schedules_and_layouts_are_those_of_numpy(rng):
    start, batches = problem(rng, np.float32, [(5, 4), (6, 3), (40,)])
    start["wide"] = rng.standard_normal((4, 9))  # another dtype
    start["turned"] = np.asfortranarray(start["0"])
    start["strided"] = np.ones((9, 8), np.float32)[::2, ::3]
    for grads in batches:
        grads["wide"], grads["turned"] = rng.standard_normal((4, 9)), np.asfortranarray(grads["0"])
        grads["0"], grads["strided"] = np.asfortranarray(grads["0"]), np.ones((5, 3), np.float32)
    options = {"lr": optim.cosine(0.1, 6), "groups": {"1": {"lr": 0.5}, "[2w]*": {"weight_decay": 0.1}}}
    close(*[run(optim.Adam, on, start, batches, **options) for on in ("native", "numpy")], np.float32)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_rule_has_native_updates(case, rng, monkeypatch):
    start, batches = problem(rng, np.float32, steps=2)
    monkeypatch.setattr("minirnn.optim.blocks.Blocks.update", lambda *args: pytest.fail("NumPy did an update"))
    run(getattr(optim, case.rule), "native", start, batches, **case.options)


def test_native_updates_are_the_same_to_the_bit_in_every_run(rng):
    start, batches = problem(rng, np.float32)
    first, second = (run(optim.Adam, "native", start, batches) for _ in range(2))
    assert all(first[0][name].tobytes() == second[0][name].tobytes() for name in start)


class Odd(optim.SGD):
    """A rule whose `update` stand-ins cannot tell."""

    def __init__(self, parameters, way):
        super().__init__(parameters, lr=0.5)
        self.way = way

    @entry_by_entry
    def update(self, p, g, slots, lr, options, t, work):
        if self.way == "asks":
            p -= lr * g if (g > 0).any() else 0.0 * g
        elif self.way == "sums":
            p -= lr * np.add.reduce(g, keepdims=True)
        elif self.way == "reads work":
            np.add(work[0], 0.0, out=work[1])
            p -= lr * g
        elif self.way == "writes g":
            g *= lr
            p -= g
        elif self.way == "array":
            p -= np.full(p.shape, lr, np.float32)
        elif self.way == "unknown":
            p -= lr * np.spacing(g)
        elif self.way == "asks for t":
            p -= lr * g if t == 1 else np.multiply(g, lr + t, out=work[0])
        elif self.way == "of the math module":
            p -= math.sqrt(lr) * g
        elif self.way == "negative":
            p += -lr * g
        elif self.way == "plain":
            p -= lr * g


@pytest.mark.parametrize(
    "way",
    [
        "asks",
        "sums",
        "reads work",
        "writes g",
        "array",
        "unknown",
        "asks for t",
        "of the math module",
        "negative",
        "plain",
    ],
)
def test_what_no_stand_in_can_tell_is_right_all_the_same(way):
    runs = []
    for on in ("native", "numpy"):
        parameters, g = {"a": np.ones(4, np.float32)}, np.arange(4, dtype=np.float32)
        optimizer = Odd(parameters, way)
        with tier(on):
            for lr in (0.5, 0.25, 0.25):
                optimizer.lr = lr
                optimizer.step({"a": g})
        runs.append([parameters["a"].tolist(), g.tolist()])
    assert runs[0] == runs[1]


def test_an_update_that_is_not_marked_runs_on_arrays():
    seen = []

    class Told(optim.SGD):
        def update(self, p, g, slots, lr, options, t, work):
            seen.append(type(p))
            p -= lr * g

    Told({"a": np.ones(2), "b": np.ones(3)}).step({"a": np.ones(2), "b": np.ones(3)})
    assert seen == [np.ndarray, np.ndarray]


def test_a_parameter_that_was_made_read_only_is_not_written_to():
    p = np.ones(20)
    optimizer = optim.SGD({"a": p})
    p.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step({"a": np.ones(20)})
    assert (p == 1).all()


def test_numbers_before_entries_are_noted_once_for_all_steps(monkeypatch):
    monkeypatch.setattr("minirnn.optim.blocks.Blocks.update", lambda *args: pytest.fail("NumPy did an update"))
    notes, found = [], natively.noted
    monkeypatch.setattr(natively, "noted", lambda *given: notes.append(found(*given)) or notes[-1])
    parameters = {"a": np.ones(4, np.float32)}
    optimizer = Odd(parameters, "negative")
    with tier("native"):
        for lr in (0.5, 0.25):
            optimizer.lr = lr
            optimizer.step({"a": np.arange(4, dtype=np.float32)})
    assert parameters["a"].tolist() == [1.0, 0.25, -0.5, -1.25]
    assert [one.always for one in notes] == [True]
