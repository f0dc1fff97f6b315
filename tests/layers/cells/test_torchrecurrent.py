"""The zoo against torchrecurrent: outputs, final states and every gradient, with the same weights.

A case maps our parameters to torchrecurrent's in PyTorch's own operations, so that its gradients arrive at ours. What
torchrecurrent has beside (a second bias for each gate) is zero.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

import minirnn
from minirnn import Recurrent, cells, tree

TOLERANCE = 1e-10


@pytest.fixture(scope="session")
def theirs(torch):
    return pytest.importorskip("torchrecurrent", reason="torchrecurrent is missing: pip install 'minirnn[peers]'")


# ---------------------------------------------------------------- weights: our parameters (tensors) as torchrecurrent's
def plain(p):
    return {"weight_ih": p["w"], "weight_hh": p["u"], "bias_ih": p["b"]}


def beside(**theirs_of_ours):
    """plain, and further parameters by their name there."""
    return lambda p: plain(p) | {there: p[here] for there, here in theirs_of_ours.items()}


def scaled(array, *factors):
    """The blocks of a stacked array, each times a factor."""
    return concatenated(*[factor * block for factor, block in zip(factors, array.chunk(len(factors)), strict=True)])


def concatenated(*arrays):
    import torch

    return torch.cat(arrays)


def padded(p, before=0, after=0):
    """b with blocks (H,) of zeros around it."""
    zeros = p["b"].new_zeros
    size = p["u"].shape[-1]
    return concatenated(zeros(before * size), p["b"], zeros(after * size))


def mut1(p):
    b_z, b_r, b_h = p["b"].chunk(3)
    zero = 0 * b_z
    return plain(p) | {"bias_ih": concatenated(b_z, b_r, zero), "bias_hh": concatenated(zero, b_h)}


def lem(p):
    """The steps of z and y come in the other order there."""
    swapped = lambda array, n: concatenated(*[array.chunk(n)[k] for k in (1, 0, 2, 3)[:n]])
    ours = {"weight_ih": swapped(p["w"], 4), "weight_hh": swapped(p["u"], 3), "bias_ih": swapped(p["b"], 4)}
    return ours | {"weight_ch": p["u_y"]}


def dsgu(p):
    g, z, o = p["u"].chunk(3)
    return plain(p) | {"weight_hh": concatenated(g, z), "weight_ho": o}


def theanos_hard_sigmoid():
    """torchrecurrent's own is PyTorch's, whose slope is 1/6; any module may be given in its place."""
    import torch

    class HardSigmoid(torch.nn.Module):
        def forward(self, x):
            return (0.2 * x + 0.5).clamp(0, 1)

    return {"gate_nonlinearity": HardSigmoid()}


# ---------------------------------------------------------------- calls: (cell, p, x, state leaves) -> (output, leaves)
def one(cell, p, x, h):
    h = cell(x, h)
    return h, (h,)


def two(cell, p, x, h, c):
    h, c = cell(x, (h, c))
    return h, (h, c)


def apart(cell, p, x, *state):
    output, state = cell(x, state)
    return output, state


def janet(cell, p, x, h):
    h, _ = cell(x, (h, h))
    return h, (h,)


def original(cell, p, x, h, c):
    h, c = cell(x, (h, c / 2))
    return h, (h, 2 * c)


def intersection(cell, p, x, h):
    y, h = cell(x @ p["e"].T, h)
    return y, (h,)


def delayed(cell, p, x, h, past):
    new = cell(x, h, past[:, 0])
    return new, (new, concatenated(past[:, 1:].swapaxes(0, 1), h[None]).swapaxes(0, 1))


def context(cell, p, x, h, s):
    y, s = cell(x, (h, s))
    return y.atanh(), (None, s)


class Case(NamedTuple):
    """weights, call: as above; ours, theirs: options. Where torchrecurrent departs from the paper, `why` says how, and
    what agrees is compared: over `steps`, after `prepare` has changed our parameters, without the gradients of
    `without`."""

    weights: Callable[..., Any] = plain
    call: Callable[..., Any] = one
    sizes: tuple[int, int] = (3, 4)
    ours: Any = MappingProxyType({})
    theirs: Any = MappingProxyType({})
    why: str = ""
    steps: int = 4
    prepare: Callable[..., Any] = lambda p: None
    without: tuple[str, ...] = ()


def without_block_3(p):
    for array in (p["w"], p["u"], p["b"]):
        size = len(array) // 8
        array[3 * size : 4 * size] = 0


COMPARED = {
    "ATR": Case(),
    "AntisymmetricRNN": Case(
        lambda p: {"weight_ih": p["v"], "weight_hh": p["w"], "bias_ih": p["b"]}, theirs={"epsilon": 0.1, "gamma": 0.01}
    ),
    "GatedAntisymmetricRNN": Case(
        lambda p: {"weight_ih": p["v"], "weight_hh": p["w"], "bias_ih": p["b"]}, theirs={"epsilon": 0.1, "gamma": 0.01}
    ),
    "BR": Case(),
    "NBR": Case(),
    "coRNN": Case(
        lambda p: {"weight_ih": p["v"], "weight_hh": p["w"], "weight_ch": p["u"], "bias_ih": p["b"]},
        two,
        theirs={"dt": 0.042, "gamma": 2.7, "epsilon": 4.7},
    ),
    "CFN": Case(lambda p: plain(p) | {"bias_ih": padded(p, after=1)}),
    "FastRNN": Case(beside(alpha="alpha", beta="beta")),
    "FastGRNN": Case(
        beside(zeta="zeta", nu="nu"), theirs={"nonlinearity": "sigmoid"}, why="the gate is a tanh by default"
    ),
    "IndRNN": Case(
        lambda p: {"weight_ih": p["w"], "vector_u": p["u"], "bias_ih": p["b"]},
        theirs={"nonlinearity": "relu"},
        why="tanh by default",
    ),
    "UGRNN": Case(),
    "IntersectionRNN": Case(call=intersection, sizes=(4, 4)),
    "JANET": Case(
        lambda p: plain(p) | {"beta": p["b"].new_ones(())}, janet, why="beta is trained there, 1 in the paper"
    ),
    "LEM": Case(
        lem,
        two,
        why="y reads the z of the step before there, the new z in the paper: the same where U_y = 0",
        prepare=lambda p: p["u_y"].fill(0),
        without=("u_y",),
    ),
    "LiGRU": Case(),
    "LightRU": Case(),
    "MCLSTM": Case(call=apart),
    "MGU": Case(),
    "MinimalRNN": Case(
        lambda p: {
            "weight_ih": p["w"],
            "bias_ih": p["b_z"],
            "weight_hh": p["u_h"],
            "weight_mm": p["u_z"],
            "bias_hh": p["b_u"],
        }
    ),
    "MiRU1": Case(),
    "MiRU2": Case(),
    "MultiplicativeLSTM": Case(
        lambda p: {
            "weight_ih": concatenated(p["w_m"], p["w"]),
            "weight_hh": p["u_m"],
            "weight_mh": p["u"],
            "bias_ih": padded(p, before=1),
        },
        two,
    ),
    "MUT1": Case(mut1),
    "MUT2": Case(),
    "MUT3": Case(),
    "NAS": Case(call=two, why="block 3 is relu(a + m) there, relu(a * m) in the paper's code", prepare=without_block_3),
    "OriginalLSTM": Case(
        lambda p: {there: scaled(array, 1, 0.5, 1) for there, array in plain(p).items()},
        original,
        why="tanh there, twice and half as wide sigmoids in the paper: the same of halved weights",
    ),
    "PeepholeLSTM": Case(beside(weight_ph="v"), two),
    "RAN": Case(call=two),
    "ResLSTM": Case(beside(weight_ph="v", weight_proj="P", weight_res="R"), two),
    "SCRN": Case(
        lambda p: {
            "weight_ih": concatenated(p["B"], p["A"]),
            "weight_hh": concatenated(p["R"], p["U"]),
            "weight_ch": concatenated(p["P"], p["V"]),
            "alpha": p["B"].new_tensor(0.95),
        },
        context,
        why="tanh(y) is fed back there, h in the paper: the first step agrees",
        steps=1,
    ),
    "SGRN": Case(),
    "SGU": Case(theirs=theanos_hard_sigmoid, why="PyTorch's hard sigmoid there, unless another is given"),
    "DSGU": Case(dsgu, theirs=theanos_hard_sigmoid, why="PyTorch's hard sigmoid there, unless another is given"),
    "STAR": Case(),
    "TRNN": Case(lambda p: {"weight_ih": p["w"], "bias_ih": p["b"]}),
    "TGRU": Case(call=two),
    "TLSTM": Case(call=apart),
    "TauGRU": Case(call=delayed, ours={"delay": 2}),
    "UnICORNN": Case(beside(weight_ch="c"), two, theirs={"alpha": 1.0}),
    "WMCLSTM": Case(beside(weight_mh="v"), two),
}


def our_numbers(cell, xs, state, weights):
    def loss(cell, xs, state):
        outputs, final = Recurrent(cell, engine="python")(xs, state)  # compiled cells are held to it elsewhere
        values = [outputs, *tree.leaves(final)]
        return sum((value * weight).sum() for value, weight in zip(values, weights, strict=True)), values

    (_, values), gradients = minirnn.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(cell, xs, state)
    return values, [*gradients[0].values(), gradients[1], *tree.leaves(gradients[2])]


def their_numbers(torch, there, case, parameters, xs, state, weights):
    p = {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in parameters.items()}
    xs, *leaves = (torch.from_numpy(value).requires_grad_() for value in (xs, *state))
    zeros = {name: torch.zeros_like(value) for name, value in there.state_dict().items()}
    given = case.weights(p)
    assert {name: value.shape for name, value in given.items()} == {name: zeros[name].shape for name in given}
    cell = lambda *args: torch.func.functional_call(there, zeros | given, args)
    outputs, final = [], leaves
    for x in xs:
        output, final = case.call(cell, p, x, *final)
        outputs.append(output)
    values = [torch.stack(outputs), *final]
    loss = sum((v * torch.from_numpy(w)).sum() for v, w in zip(values, weights, strict=True) if v is not None)
    found = torch.autograd.grad(loss, [*p.values(), xs, *leaves])
    plain = lambda tensor: None if tensor is None else tensor.detach().numpy()
    return [plain(value) for value in values], [plain(gradient) for gradient in found]


@pytest.mark.parametrize("name", COMPARED)
def test_outputs_states_and_gradients_are_torchrecurrents(name, torch, theirs, worst_errors):
    case, rng = COMPARED[name], np.random.default_rng(0)
    cell = cells.make(name, *case.sizes, rng=rng, dtype=np.float64, **case.ours)
    case.prepare(cell.parameters())
    xs = rng.standard_normal((case.steps, 2, case.sizes[0]))
    state = tree.map(lambda leaf: 0.5 * rng.standard_normal(leaf.shape), cell.initial_state(2))
    leaves = tree.leaves(state)
    weights = [
        rng.standard_normal((case.steps, 2, case.sizes[1])),
        *[rng.standard_normal(leaf.shape) for leaf in leaves],
    ]
    options = case.theirs() if callable(case.theirs) else case.theirs
    there = getattr(theirs, f"{their_name(name)}Cell")(*case.sizes, **options).double()
    values, gradients = their_numbers(torch, there, case, cell.parameters(), xs, leaves, weights)
    weights = [w if value is not None else 0 * w for w, value in zip(weights, values, strict=True)]
    our_values, our_gradients = our_numbers(cell, xs, state, weights)
    names = ["outputs", *(f"final {k}" for k in range(len(leaves)))]
    names += [*cell.parameters(), "xs", *(f"initial {k}" for k in range(len(leaves)))]
    pairs = zip(names, [*our_values, *our_gradients], [*values, *gradients], strict=True)
    errors = {
        what: np.abs(a - b).max() / max(np.abs(b).max(), 1e-6) if np.size(b) else 0.0
        for what, a, b in pairs
        if b is not None and what not in case.without
    }
    worst = max(errors, key=errors.get)
    worst_errors("zoo")(name, errors[worst], worst)
    assert errors[worst] < TOLERANCE, f"{worst} differs by {errors[worst]:.1e}"


def their_name(name):
    return {"TauGRU": "tauGRU"}.get(name, name)


def test_every_cell_that_torchrecurrent_has_is_here_and_compared(theirs):
    there = {name.removesuffix("Cell").lower() for name in theirs.__all__ if name.endswith("Cell")}
    assert {name.lower() for name in COMPARED} == there
    assert set(COMPARED) <= set(cells.names())
