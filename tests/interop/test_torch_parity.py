"""RNN, LSTM and GRU against PyTorch: outputs, final states and every gradient, live and from golden vectors."""

from pathlib import Path

import numpy as np
import pytest
from recurrent_cases import (
    CASES,
    PAIRWISE,
    our_numbers,
    packed,
    problem,
    relative_error,
    torch_call,
    torch_names,
    torch_numbers,
    torch_problem,
    unflat,
    unpacked,
    waves,
)

import minirnn
from minirnn.interop.torch import load_torch_state_dict, torch_state_dict

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}


def each_case(cases, dtypes=tuple(TOLERANCE)):
    """All cases and dtypes; a run that leaves out what is slow has any two of their properties together."""
    rows = [(case, dtype) for case in cases for dtype in dtypes]
    kept = [(case, dtype) for case, _ in PAIRWISE for dtype in dtypes] if len(dtypes) == 1 else PAIRWISE
    kinds = {case.kind: (case, dtypes[-1]) for case in cases}.values()
    marks = lambda row: () if row in [*kept, *kinds] else pytest.mark.slow
    named = [pytest.param(*row, marks=marks(row), id=f"{row[0]}-{np.dtype(row[1]).name}") for row in rows]
    return pytest.mark.parametrize(("case", "dtype"), named)


GOLDEN = Path(__file__).parents[1] / "golden" / "recurrent.npz"


def compare(ours, theirs, case, dtype, record):
    assert set(ours) == set(theirs)
    worst = max(ours, key=lambda name: relative_error(ours[name], theirs[name]))
    error = relative_error(ours[worst], theirs[worst])
    record(f"{case.kind}, {np.dtype(dtype).name}", error, f"{case}: {worst}")
    assert error < TOLERANCE[dtype], f"{worst} differs by {error:.1e}"
    assert all(value.dtype == dtype for value in ours.values())


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return dict(stored)


@each_case(CASES)
def test_golden_numbers_of_pytorch(case, dtype, golden, worst_errors):
    ours = our_numbers(case, dtype)
    compare(ours, unflat(golden[str(case)], ours), case, dtype, worst_errors("golden"))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@each_case(CASES)
def test_live_numbers_of_pytorch(case, dtype, torch, worst_errors):
    compare(our_numbers(case, dtype), torch_numbers(torch, case, dtype), case, dtype, worst_errors("live"))


@each_case([case for case in CASES if case.bias and case.layers < 3], [np.float64])
def test_hessian_vector_products_equal_pytorchs_double_backward(case, dtype, torch, worst_errors):
    layer, xs, state, cotangent = problem(case, np.float64)
    shapes = {name: value.shape for name, value in torch_state_dict(layer).items()}
    directions = {name: waves(i + 50, shape, np.float64) for i, (name, shape) in enumerate(shapes.items())}
    v_xs, v_state = waves(90, xs.shape, np.float64), {k: waves(91, v.shape, np.float64) for k, v in state.items()}

    def loss(layer, xs, state):
        outputs, final = layer(xs, state, lengths=np.array([2, 4, 1]) if case.ragged else None)
        return (outputs**2 * cotangent).sum() + sum((f**3).sum() for f in unpacked(final).values())

    twin = type(layer)(layer.input_size, 3, dtype=np.float64, **case.options())
    minirnn.interop.torch.load_torch_state_dict(twin, directions)
    h_layer, h_xs, h_state = minirnn.hvp(loss, argnums=(0, 1, 2))(
        layer, xs, packed(state), (twin.parameters(), v_xs, packed(v_state))
    )
    ours = {"xs": h_xs, **unpacked(h_state), **torch_names(layer, h_layer)}

    theirs, t_xs, t_state, t_cotangent = torch_problem(torch, case, np.float64)
    outputs, final = torch_call(torch, theirs, t_xs, t_state, case.ragged)
    value = (outputs**2 * t_cotangent).sum() + sum((f**3).sum() for f in final.values())
    inputs = {"xs": t_xs, **t_state, **dict(theirs.named_parameters())}
    along = {"xs": v_xs, **v_state, **directions}
    first = torch.autograd.grad(value, list(inputs.values()), create_graph=True)
    slope = sum((g * torch.from_numpy(along[name])).sum() for name, g in zip(inputs, first, strict=True))
    second = dict(zip(inputs, torch.autograd.grad(slope, list(inputs.values())), strict=True))

    compare(ours, {k: v.detach().numpy() for k, v in second.items()}, case, np.float64, worst_errors("hvp"))


@pytest.mark.parametrize(
    ("came", "layer", "says"),
    [
        (minirnn.GRU(3, 4), minirnn.LSTM(3, 4), r"LSTM: the arrays do not fit \(they are a GRU's\)"),
        (minirnn.LSTM(3, 4), minirnn.GRU(3, 4), r"GRU: the arrays do not fit \(they are an LSTM's\)"),
        (minirnn.RNN(3, 4, 2), minirnn.GRU(3, 4, 2), r"GRU: the arrays do not fit \(they are an RNN's\)"),
        (minirnn.LSTM(3, 5), minirnn.LSTM(3, 4), r"weight_hh_l0 \(layers.0.cell.weight_hh\): float32 \(20, 5\) came"),
        (minirnn.LSTM(3, 4, dtype=np.float64), minirnn.LSTM(3, 4), r"weight_ih_l0 .*: float64 \(16, 3\) came, float32"),
    ],
)
def test_arrays_that_do_not_fit_are_named_as_they_came(came, layer, says):
    before = layer.state_dict()
    with pytest.raises(ValueError, match=says):
        load_torch_state_dict(layer, torch_state_dict(came))
    assert all(np.array_equal(value, before[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda theirs, name: theirs.pop(name), "missing {0}; unexpected none"),
        (lambda theirs, name: theirs.update({"num_batches": 1}), "missing none; unexpected num_batches"),
        (lambda theirs, name: theirs.update({"_x": theirs.pop(name), "_y": 1}), "missing {0}; unexpected _x, _y"),
    ],
)
@pytest.mark.parametrize(
    "layer",
    [minirnn.LSTM(3, 4, bidirectional=True), minirnn.GRU(3, 4, bias=False), minirnn.LSTMCell(3, 4),
     minirnn.Linear(3, 4), minirnn.Embedding(5, 3), minirnn.LayerNorm(4)],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_names_that_are_missing_or_unexpected_are_listed_and_nothing_is_written(layer, change, says):
    before = layer.state_dict()
    theirs = {name: value + 1 for name, value in torch_state_dict(layer).items()}
    name = list(theirs)[-1]
    change(theirs, name)
    with pytest.raises(ValueError, match=f"{type(layer).__name__}: {says.format(name)}$"):
        load_torch_state_dict(layer, theirs)
    assert all(np.array_equal(value, before[name]) for name, value in layer.state_dict().items())


def test_a_layer_that_pytorch_has_no_twin_of_is_named():
    with pytest.raises(TypeError, match="Dropout came, a layer that PyTorch has too was expected: RNN, LSTM, GRU, RN"):
        torch_state_dict(minirnn.Dropout(0.5))


@pytest.mark.parametrize("mapping", [[], ["weight_ih_l0"], None, "weights", [("weight_ih_l0", 1)]])
def test_what_is_no_mapping_is_an_error(mapping):
    for load in (minirnn.LSTM(3, 4).load_state_dict, lambda m: load_torch_state_dict(minirnn.LSTM(3, 4), m)):
        with pytest.raises(TypeError, match="a mapping of names to arrays was expected"):
            load(mapping)
