import autograd.numpy as np
import numpy as onp
import pytest
from analysis_cases import carousel, inputs_for, layer_of
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn import analysis, cells, tree
from minirnn.analysis.unrolled import cell_of, unroll
from minirnn.analysis.vocabulary import CELLS as KNOWN

CELLS = ["RNN", "LSTM", "GRU", "carousel", "PeepholeLSTM", "PhasedLSTM", "QRNN", "sLSTM", "mLSTM", "coRNN"]


def named(state):
    return {path or "h": leaf for path, leaf in tree.named_leaves(state)}


def full_jacobians(layer, xs, at, k):
    """a -> ({b: da_t / db_{t-k}}, da_t / dx_{t-k+1}) of one sequence, by autograd through the loop, as matrices."""
    cell, start = cell_of("test", layer), at + 1 - k
    piece = tree.map(lambda column: column[start : at + 1], cell.inputs(xs))

    def after(state, first):
        rest = getattr(piece, "x", piece)
        x = np.concatenate([first, rest[1:]])
        now = piece._replace(x=x) if hasattr(piece, "_replace") else x
        return named(minirnn.scan(cell, state, now, engine="python")[0])

    first = getattr(piece, "x", piece)[:1]
    found = minirnn.jacobian(after, argnums=(0, 1))(unroll("test", layer, xs).states[start], first)
    matrix = lambda block, a: onp.reshape(block, (named(cell.initial_state(1))[a].size, -1))
    return {
        a: ({b: matrix(m, a) for b, m in named(of_s).items()}, matrix(of_x, a)) for a, (of_s, of_x) in found.items()
    }


@pytest.mark.parametrize("name", CELLS)
def test_norms_are_those_of_autograds_full_jacobian(name):
    layer, at = layer_of(name), 3
    xs = inputs_for(layer, 5)
    flow = analysis.gradient_flow(layer, xs, at=at)
    for b in range(2):
        for k in range(1, at + 2):
            for a, (by_state, by_input) in full_jacobians(layer, xs[:, b : b + 1], at, k).items():
                for found, lag, matrix in [
                    (flow.input[a], k - 1, by_input),
                    *((flow.state[a, c], k, m) for c, m in by_state.items()),
                ]:
                    assert found.frobenius[lag, b] == pytest.approx(onp.linalg.norm(matrix), rel=1e-10, abs=1e-14)
                    assert found.spectral[lag, b] == pytest.approx(onp.linalg.norm(matrix, 2), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "carousel"])
def test_the_memory_path_is_the_product_of_keep_gates_and_the_rest_is_the_rest(name):
    layer, k = layer_of(name), 3
    xs = inputs_for(layer, 5)
    flow = analysis.gradient_flow(layer, xs, keep="k" if name == "carousel" else None)
    c = flow.memory.array
    kept = analysis.record(layer, xs, flow.memory.gate)[flow.memory.gate]
    for b in range(2):
        total = full_jacobians(layer, xs[:, b : b + 1], 4, k)[c][0][c]
        along = onp.diag(onp.prod(kept[5 - k :, b], axis=0))
        assert flow.memory.along.frobenius[k, b] == pytest.approx(onp.linalg.norm(along), rel=1e-12)
        assert flow.memory.along.spectral[k, b] == pytest.approx(onp.linalg.norm(along, 2), rel=1e-12)
        assert flow.memory.through_gates.frobenius[k, b] == pytest.approx(onp.linalg.norm(total - along), rel=1e-10)


BLIND = {"u", "u_h", "u_z", "u_r", "u_o", "u_m", "p", "v", "r", "weight_hh"}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_where_no_gate_sees_the_state_the_keep_gate_is_the_whole_jacobian(name):
    """The table of keep gates, for every cell in it."""
    rng = onp.random.default_rng(0)
    make = {"LSTMCell": minirnn.LSTMCell, "GRUCell": minirnn.GRUCell}.get(name)
    cell = cells.small(name, rng=rng) if make is None else make(3, 4, rng=rng, dtype=onp.float64)
    for path, array in cell.parameters().items():
        if path in BLIND:
            array[...] = 0
    flow = analysis.gradient_flow(cell, inputs_for(cell, 4))
    c = flow.memory.array
    assert flow.memory.through_gates.frobenius == pytest.approx(0, abs=1e-14)
    assert flow.memory.along.frobenius == pytest.approx(flow.state[c, c].frobenius, rel=1e-12)
    assert (flow.memory.along.frobenius[1:] > 0).all()


@given(radius=st.floats(0.3, 1.5), seed=st.integers(0, 99))
def test_a_linear_network_is_the_notes_formula(radius, seed):
    @minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
    def linear_cell(p, h, x):
        h = x @ p.w.T + h @ p.u.T
        return h, h

    rng = onp.random.default_rng(seed)
    cell = linear_cell(2, 4, rng=rng, dtype=onp.float64)
    cell.u[...] *= radius / analysis.recurrent_map(cell).spectral_radius
    flow = analysis.gradient_flow(cell, rng.standard_normal((12, 1, 2)))
    assert flow.map.spectral_radius == pytest.approx(radius)
    assert flow.input["h"].spectral[:, 0] == pytest.approx(flow.predicted["h"].spectral, rel=1e-9)
    expected = onp.linalg.norm(onp.linalg.matrix_power(cell.u, 7) @ cell.w)
    assert flow.predicted["h"].frobenius[7] == pytest.approx(expected, rel=1e-9)


def test_a_simple_rnns_map_is_its_weights_and_its_gradient_stays_below_their_powers():
    layer = layer_of("RNN")
    flow = analysis.gradient_flow(layer, inputs_for(layer, 20))
    cell = layer.cells()[0]
    assert onp.array_equal(flow.map.recurrent, cell.weight_hh)
    assert onp.array_equal(flow.map.inward, cell.weight_ih)
    assert flow.map.singular_values[0] >= flow.map.spectral_radius
    assert len(flow.map.singular_values) == 4
    sigma = flow.map.singular_values[0]
    bound = sigma ** onp.arange(20)[:, None] * onp.linalg.norm(cell.weight_ih, 2)
    assert (flow.input["h"].spectral <= bound * (1 + 1e-12)).all()  # |tanh'| <= 1


def test_what_vanishes_below_float32_is_still_measured():
    layer = minirnn.RNN(2, 4, rng=onp.random.default_rng(0))
    layer.cells()[0].weight_hh[...] *= 0.05
    flow = analysis.gradient_flow(layer, onp.zeros((60, 1, 2), onp.float32))
    assert 0 < flow.input["h"].frobenius[-1, 0] < 1e-60
    double = analysis.gradient_flow(layer.astype(onp.float64), onp.zeros((60, 1, 2)))
    assert flow.input["h"].frobenius == pytest.approx(double.input["h"].frobenius, rel=1e-4)


def test_pieces_of_the_rows_give_the_same(monkeypatch):
    layer = layer_of("LSTM")
    whole = analysis.gradient_flow(layer, inputs_for(layer))
    monkeypatch.setattr("minirnn.analysis.unrolled.ROWS", 6)
    pieces = analysis.gradient_flow(layer, inputs_for(layer))
    assert pieces.input["c"].frobenius == pytest.approx(whole.input["c"].frobenius, rel=1e-13)


def test_a_state_and_no_spectral_norms():
    layer = layer_of("LSTM")
    xs = inputs_for(layer, 6)
    _, middle = layer(xs[:2])
    rest = analysis.gradient_flow(layer, xs[2:], middle, spectral=False)
    whole = analysis.gradient_flow(layer, xs, spectral=False)
    assert whole.input["h"].spectral is None
    assert whole.memory.along.spectral is None
    assert rest.input["h"].frobenius == pytest.approx(whole.input["h"].frobenius[:4], rel=1e-12)


def test_weights_that_a_wrapper_computes_are_those_that_are_looked_at():
    layer = minirnn.weight_norm(minirnn.RNN(3, 4, rng=onp.random.default_rng(0), dtype=onp.float64), "*weight_hh")
    xs = inputs_for(layer)
    plain = analysis.gradient_flow(layer.plain(), xs)
    assert analysis.gradient_flow(layer, xs).input["h"].frobenius == pytest.approx(plain.input["h"].frobenius)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (lambda l: (minirnn.LSTM(3, 4, num_layers=2), inputs_for(l)), ValueError, "layers.1.cell"),
        (
            lambda l: (minirnn.Recurrent(minirnn.LSTMCell(3, 4), reverse=True), inputs_for(l)),
            ValueError,
            "from the end",
        ),
        (lambda l: (minirnn.Linear(3, 4), inputs_for(l)), TypeError, "Linear came"),
        (lambda l: (l, inputs_for(l)[0]), ValueError, r"\(T, B, 3\) was expected"),
        (lambda l: (l, inputs_for(l)[:0]), ValueError, r"\(0, 2, 3\)"),
        (lambda l: (l, inputs_for(l), l.initial_state(3)), ValueError, "the state has shapes"),
    ],
)
def test_what_cannot_be_followed_is_said(arguments, kind, says):
    with pytest.raises(kind, match=says):
        analysis.gradient_flow(*arguments(layer_of("LSTM")))


def test_a_step_or_a_gate_that_is_not_there_is_said():
    layer = layer_of("LSTM")
    with pytest.raises(ValueError, match="at=6 came"):
        analysis.gradient_flow(layer, inputs_for(layer), at=6)
    with pytest.raises(ValueError, match="no step names 'nothing'"):
        analysis.gradient_flow(layer, inputs_for(layer), keep="nothing")
    assert analysis.gradient_flow(carousel(3, 4), inputs_for(layer).astype(onp.float32)).memory is None
