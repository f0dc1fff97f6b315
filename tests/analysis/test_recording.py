import sys
import threading

import autograd.numpy as np
import numpy as onp
import pytest
from analysis_cases import inputs_for, layer_of
from few import CELLS, few

import minirnn
from minirnn import analysis, cells
from minirnn.bptt.gates import sigmoid


def test_an_lstms_gates_answer_to_both_vocabularies_and_make_its_state():
    layer = layer_of("LSTM")
    xs = inputs_for(layer)
    names = ["keep", "forget", "write", "input", "candidate", "show", "read", "output", "c", "h", "outputs", "1 - f"]
    values = analysis.record(layer, xs, names)
    f, i, g, o = (analysis.record(layer, xs, name)[name] for name in "figo")
    for one, others in {"keep": f, "write": i, "candidate": g, "show": o, "read": o, "1 - f": 1 - f}.items():
        assert onp.array_equal(values[one], others)
    assert onp.array_equal(values["forget"], f)
    assert onp.array_equal(values["input"], i)
    before = onp.concatenate([onp.zeros((1, 2, 4)), values["c"][:-1]])
    assert values["c"] == pytest.approx(f * before + i * g, abs=1e-15)
    assert values["h"] == pytest.approx(o * onp.tanh(values["c"]), abs=1e-15)
    assert onp.array_equal(values["output"], o)
    assert values["outputs"] == pytest.approx(layer(xs)[0], abs=1e-14)


@pytest.mark.parametrize("name", few([*cells.names(), "RNN", "LSTM", "GRU", "carousel"], (*CELLS, "carousel")))
def test_every_cell_can_be_recorded_and_its_outputs_are_those_of_the_layer(name):
    layer = layer_of(name)
    xs = inputs_for(layer, 3)
    values = analysis.record(layer, xs)
    assert all(value.shape[:2] == (3, 2) for value in values.values())
    assert values["outputs"] == pytest.approx(layer(xs)[0], abs=1e-12)


def test_a_gate_that_is_used_before_its_sigmoid_is_the_gate_under_its_letter():
    layer = layer_of("LayerNormLSTM")
    values = analysis.record(layer, inputs_for(layer), ["f", "sigmoid(f)", "keep", "1 - sigmoid(f)"])
    assert onp.array_equal(values["f"], values["keep"])
    assert onp.array_equal(values["f"], values["sigmoid(f)"])
    assert onp.array_equal(values["1 - sigmoid(f)"], 1 - values["f"])
    assert (values["f"] > 0).all()
    assert (values["f"] < 1).all()


def test_a_whole_model_is_recorded_cell_by_cell_and_what_runs_backward_is_turned_round():
    rng = onp.random.default_rng(0)
    gru = minirnn.GRU(3, 4, bidirectional=True, rng=rng)
    model = minirnn.Sequential(minirnn.Embedding(7, 3, rng=rng), gru, minirnn.Linear(8, 7, rng=rng))
    tokens = rng.integers(0, 7, (5, 2))
    values = analysis.record(model, tokens, ["h", "keep"])
    assert list(values) == [
        f"layers.1.layers.0.{way}.cell.{name}" for way in ("forward", "backward") for name in ("h", "keep")
    ]
    both = onp.concatenate([values[f"layers.1.layers.0.{way}.cell.h"] for way in ("forward", "backward")], axis=2)
    assert both == pytest.approx(gru(model.layers[0](tokens))[0], abs=1e-6)


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_an_engine_that_a_layer_names_is_passed_over_and_is_its_own_again(engine):
    layer = minirnn.LSTM(3, 4, rng=onp.random.default_rng(0), engine=engine)
    assert "f" in analysis.record(layer, onp.zeros((2, 1, 3), onp.float32))
    assert layer.engine == engine


def test_pieces_that_are_recomputed_count_once_in_either_direction():
    for reverse in (False, True):
        cell = minirnn.GRUCell(3, 4, rng=onp.random.default_rng(0), dtype=onp.float64)
        plain = minirnn.Recurrent(cell, reverse=reverse)
        pieces = minirnn.Recurrent(cell, reverse=reverse, checkpoint_every=2)
        xs = inputs_for(plain, 5)
        assert onp.array_equal(analysis.record(pieces, xs, "h")["h"], analysis.record(plain, xs, "h")["h"])
        assert analysis.record(plain, xs, "h")["h"] == pytest.approx(plain(xs)[0], abs=1e-14)


def test_a_wrapped_cell_is_recorded_with_what_it_wraps():
    layer = minirnn.Recurrent(minirnn.Zoneout(minirnn.LSTMCell(3, 4, dtype=onp.float64), 0.0))
    xs = inputs_for(layer)
    assert onp.array_equal(analysis.record(layer, xs, "f")["f"], analysis.record(layer.cell.cell, xs, "f")["f"])


def test_a_state_goes_in():
    layer = layer_of("GRU")
    xs = inputs_for(layer)
    _, middle = layer(xs[:2])
    assert analysis.record(layer, xs[2:], "h", state=middle)["h"] == pytest.approx(layer(xs)[0][2:], abs=1e-14)


def test_a_name_that_is_not_there_lists_those_that_are():
    layer = layer_of("GRU")
    with pytest.raises(ValueError, match=r"no step names 'forget_gate'; the names are h, x, r, z, n, outputs, reset"):
        analysis.record(layer, inputs_for(layer), ["r", "forget_gate"])
    with pytest.raises(ValueError, match="'2 z' came"):
        analysis.record(layer, inputs_for(layer), "2 z")
    with pytest.raises(ValueError, match="ran no step"):
        analysis.record(minirnn.Linear(3, 4, dtype=onp.float64), inputs_for(layer))


def test_a_profiler_that_was_there_is_there_again_and_an_error_leaves_none(rng):
    @minirnn.cell(w=("hidden", "input"))
    def broken(p, h, x):
        raise ArithmeticError("broken")

    seen = []
    hook = lambda frame, event, argument: seen.append(event)
    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        analysis.record(layer_of("GRU"), inputs_for(layer_of("GRU")), "h")
        with pytest.raises(ArithmeticError):
            analysis.record(broken(3, 4, dtype=onp.float64), rng.standard_normal((2, 1, 3)))
        assert sys.getprofile() is hook
    finally:
        sys.setprofile(before)
    assert seen


def test_two_threads_record_without_seeing_each_other():
    layers = [layer_of("GRU", seed=seed) for seed in range(2)]
    xs = inputs_for(layers[0], 40)
    found = [None, None]

    def run(k):
        for _ in range(5):
            found[k] = analysis.record(layers[k], xs, "h")["h"]

    threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(2):
        assert found[k].shape == (40, 2, 4)
        assert found[k] == pytest.approx(layers[k](xs)[0], abs=1e-12)


def test_names_are_those_of_the_step_and_of_functions_beside_it():
    def inner_of(x, w):
        inner = x @ w.T
        return inner + 0.0

    @minirnn.cell(w=("hidden", "input"))
    def noted(p, h, x):
        seen = inner_of(x, p.w)
        gate = 1 / (1 + np.exp(-seen))
        h = gate * h
        return h, h + 1

    xs = onp.ones((2, 1, 3))
    cell = noted(3, 4, rng=onp.random.default_rng(0), dtype=onp.float64)
    values = analysis.record(cell, xs, ["inner", "seen", "gate", "outputs", "h"])
    assert onp.array_equal(values["inner"], values["seen"])
    assert onp.array_equal(values["outputs"], values["h"] + 1)
    assert values["gate"] == pytest.approx(sigmoid(values["seen"]))
