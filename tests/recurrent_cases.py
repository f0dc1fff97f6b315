"""The recurrent layers' cases that PyTorch's numbers are compared on, and both sides' numbers for a case.

Everything is deterministic: weights, inputs and cotangents are sines of a running index. `numbers` are a dict: outputs,
final states, and under "grad ..." the gradients of sum(outputs * cotangent) + sum(final * cotangent) with respect to
every weight, the input and the initial state, all under PyTorch's names.
"""

import itertools
from typing import NamedTuple

import numpy as np

import minirnn
from minirnn.interop.torch import load_torch_state_dict, torch_state_dict

T, B, I, H, P = 4, 3, 2, 3, 2
LENGTHS = np.array([2, 4, 1])


class Case(NamedTuple):
    kind: str  # tanh, relu, LSTM, GRU, LSTM+proj
    layers: int
    bidirectional: bool
    bias: bool
    ragged: bool

    def __str__(self):
        flags = ["bidirectional"] * self.bidirectional + ["bias"] * self.bias + ["ragged"] * self.ragged
        return "-".join([self.kind, str(self.layers), *flags])

    @property
    def family(self):
        return {"tanh": "RNN", "relu": "RNN", "LSTM+proj": "LSTM"}.get(self.kind, self.kind)

    def options(self):
        own = {"nonlinearity": self.kind} if self.family == "RNN" else {}
        own |= {"proj_size": P} if self.kind == "LSTM+proj" else {}
        return {"num_layers": self.layers, "bidirectional": self.bidirectional, "bias": self.bias, **own}

    def state_shapes(self):
        rows = self.layers * (1 + self.bidirectional)
        h = (rows, B, P if self.kind == "LSTM+proj" else H)
        return {"h": h, "c": (rows, B, H)} if self.family == "LSTM" else {"h": h}


CASES = [
    Case(*options)
    for options in itertools.product(
        ["tanh", "relu", "LSTM", "GRU", "LSTM+proj"], [1, 2, 3], [False, True], [False, True], [False, True]
    )
]


def _pairwise():
    """Cases, each with a dtype, among which any two of a case's properties and the dtype meet in every combination."""
    rows = [(case, dtype) for case in CASES for dtype in (np.float64, np.float32)]
    pairs = lambda row: set(itertools.combinations(enumerate((*row[0], row[1])), 2))
    left, found = set().union(*map(pairs, rows)), []
    while left:
        found.append(max(rows, key=lambda row: len(pairs(row) & left)))
        left -= pairs(found[-1])
    return found


PAIRWISE = _pairwise()


def waves(number, shape, dtype):
    """The number-th array: 0.7 sin(...) over a running index."""
    return (0.7 * np.sin(np.arange(np.prod(shape)) * (1.3 + 0.01 * number) + number)).reshape(shape).astype(dtype)


def problem(case, dtype):
    """A layer with the case's weights, its input, its initial state and the cotangents, all ours."""
    layer = getattr(minirnn, case.family)(I, H, dtype=dtype, **case.options())
    weights = torch_state_dict(layer)
    load_torch_state_dict(layer, {name: waves(i, w.shape, dtype) for i, (name, w) in enumerate(weights.items())})
    xs = waves(100, (T, B, I), dtype)
    state = {name: waves(101 + i, shape, dtype) for i, (name, shape) in enumerate(case.state_shapes().items())}
    width = next(iter(state.values())).shape[-1] * (1 + case.bidirectional)
    return layer, xs, state, waves(103, (T, B, width), dtype)


def packed(state):
    """Our state for a dict of arrays."""
    return minirnn.LSTMState(**state) if len(state) == 2 else state["h"]


def unpacked(state):
    return state._asdict() if isinstance(state, tuple) else {"h": state}


def torch_names(layer, gradient):
    """A gradient of ours under PyTorch's names."""
    return torch_state_dict(layer.bind(gradient))


def our_numbers(case, dtype):
    layer, xs, state, cotangent = problem(case, dtype)
    lengths = LENGTHS if case.ragged else None
    (outputs, final), pull = minirnn.vjp(
        lambda layer, xs, state: layer(xs, state, lengths=lengths), layer, xs, packed(state)
    )
    g_layer, g_xs, g_state = pull((cotangent, packed(state)))
    return {
        "outputs": outputs,
        **{f"final {name}": value for name, value in unpacked(final).items()},
        "grad xs": g_xs,
        **{f"grad {name}0": value for name, value in unpacked(g_state).items()},
        **{f"grad {name}": value for name, value in torch_names(layer, g_layer).items()},
    }


def torch_numbers(torch, case, dtype):
    theirs, xs, state, cotangent = torch_problem(torch, case, dtype)
    outputs, final = torch_call(torch, theirs, xs, state, case.ragged)
    loss = (outputs * cotangent).sum() + sum((final[name] * state[name].detach()).sum() for name in state)
    loss.backward()
    found = {
        "outputs": outputs,
        **{f"final {name}": value for name, value in final.items()},
        "grad xs": xs.grad,
        **{f"grad {name}0": value.grad for name, value in state.items()},
        **{f"grad {name}": value.grad for name, value in theirs.named_parameters()},
    }
    return {name: value.detach().numpy() for name, value in found.items()}


def torch_problem(torch, case, dtype):
    layer, xs, state, cotangent = problem(case, dtype)
    theirs = getattr(torch.nn, case.family)(I, H, **case.options()).to(getattr(torch, np.dtype(dtype).name))
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in torch_state_dict(layer).items()})
    leaf = lambda array: torch.from_numpy(array).requires_grad_()
    return theirs, leaf(xs), {name: leaf(value) for name, value in state.items()}, torch.from_numpy(cotangent)


def torch_call(torch, theirs, xs, state, ragged):
    """(outputs, final state as a dict) of a torch layer, through a packed sequence where it is ragged."""
    rnn = torch.nn.utils.rnn
    start = tuple(state.values()) if len(state) == 2 else state["h"]
    given = rnn.pack_padded_sequence(xs, torch.from_numpy(LENGTHS), enforce_sorted=False) if ragged else xs
    outputs, final = theirs(given, start)
    if ragged:
        outputs, _ = rnn.pad_packed_sequence(outputs, total_length=T)
    return outputs, dict(zip(state, final if isinstance(final, tuple) else (final,), strict=True))


def flat(numbers):
    """All of a case's numbers in one array, in the order of their names."""
    return np.concatenate([numbers[name].ravel() for name in sorted(numbers)])


def unflat(array, like):
    """What `flat` made one, with the names and shapes of `like`."""
    sizes = [like[name].size for name in sorted(like)]
    assert array.size == sum(sizes)
    parts = np.split(array, np.cumsum(sizes)[:-1])
    return {name: part.reshape(like[name].shape) for name, part in zip(sorted(like), parts, strict=True)}


def relative_error(value, reference):
    """The largest difference, in units of the reference's largest entry."""
    assert value.shape == reference.shape
    scale = np.max(np.abs(reference), initial=0.0) or 1.0
    return float(np.max(np.abs(value - reference), initial=0.0) / scale)
