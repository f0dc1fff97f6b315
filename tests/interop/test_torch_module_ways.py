"""Calls of a module that is one cell go shorter ways from the first on, and shorter still when they are alike; all of
them give what the reference engine gives."""

import numpy as np
import pytest

import minirnn
from minirnn import tree
from minirnn.interop.torch import module as as_module

T, B, F, H = 6, 2, 3, 5
needs_native = pytest.mark.skipif(minirnn.tier.native_reason() is not None, reason="no native code here")


def rng(seed=0):
    return np.random.default_rng(seed)


MAKE = {
    "LSTM": lambda: minirnn.LSTM(F, H, rng=rng(), dtype=np.float64),
    "batch first": lambda: minirnn.GRU(F, H, batch_first=True, rng=rng(), dtype=np.float64),
    "cell": lambda: minirnn.Recurrent(minirnn.cells.LEM(F, H, rng=rng(), dtype=np.float64)),
    "batches that meet": lambda: minirnn.Recurrent(meeting_cell(F, H, rng=rng(), dtype=np.float64)),
    "reversed": lambda: minirnn.Recurrent(minirnn.GRUCell(F, H, rng=rng(), dtype=np.float64), reverse=True),
}


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
def meeting_cell(p, h, x):
    import autograd.numpy as np

    h = np.tanh(x @ p.w.T + h @ p.u.T)
    return 0.9 * h + 0.1 * np.mean(h, axis=0, keepdims=True), h


def cotangents_like(result):
    return tree.map(lambda leaf: rng(7).standard_normal(leaf.shape), result)


def by_reference(layer, args, lengths):
    """Results, and the gradients of the parameters and the arguments."""
    with minirnn.engine("python"):
        result, pull = minirnn.vjp(lambda layer, *args: layer(*args, lengths=lengths), layer, *args)
        grads, *rest = pull(cotangents_like(result))
    return [*tree.leaves(result), *grads.values(), *tree.leaves(rest)]


def by_module(torch, module, args, lengths):
    tensors = tree.map(lambda leaf: torch.from_numpy(leaf).requires_grad_(), args)
    result = module(*tensors, **({} if lengths is None else {"lengths": lengths}))
    leaves, weights = tree.leaves(result), tree.leaves(cotangents_like(result))
    inputs = [*module.parameters(), *tree.leaves(tensors)]
    grads = torch.autograd.grad(leaves, inputs, [torch.from_numpy(w) for w in weights])
    return [leaf.detach().numpy() for leaf in (*leaves, *grads)]


@pytest.mark.parametrize("lengths", [None, (6, 2), (0, 3)])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("kind", MAKE)
def test_every_call_is_right(kind, with_state, lengths, torch):
    layer = MAKE[kind]()
    module = as_module(layer)
    for turn in range(4):
        shape = (B, T, F) if layer.batch_first else (T, B, F)
        xs, state = rng(turn).standard_normal(shape), layer.initial_state(B)
        args = (xs, tree.map(lambda leaf: rng(9).standard_normal(leaf.shape), state)) if with_state else (xs,)
        given = None if lengths is None else np.array(lengths)
        found, expected = by_module(torch, module, args, given), by_reference(layer, args, given)
        assert all(np.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in zip(found, expected, strict=True))


@needs_native
def test_a_call_like_the_last_goes_the_short_way_until_the_layer_changes(torch):
    layer = MAKE["LSTM"]()
    module, xs = as_module(layer), torch.from_numpy(rng().standard_normal((T, B, F)))
    module(xs)
    (short,) = module._short.values()
    assert short is not None
    layer.layers[0].cell.weight_hh = minirnn.Parameter(np.zeros((4 * H, H)))  # torch's parameters are what counts
    assert module(xs)[0].abs().sum() > 0
    with torch.no_grad():
        module.get_parameter("layers.0.cell.weight_hh").zero_()
    after = layer(xs.numpy())[0]
    assert np.allclose(module(xs)[0].detach().numpy(), after)
    with minirnn.engine("python"):
        assert np.allclose(module(xs)[0].detach().numpy(), after)


def test_a_state_that_does_not_fit_is_said_so_at_every_call(torch):
    module, xs = as_module(MAKE["LSTM"]()), torch.zeros(T, B, F, dtype=torch.float64)
    h = torch.zeros(1, B, H, dtype=torch.float64)
    for _ in range(3):
        module(xs, (h, h))
        with pytest.raises(ValueError, match=r"LSTM: state has leaves \[''\], \['h', 'c'\] were expected"):
            module(xs, h)
        with pytest.raises(ValueError, match=r"LSTM: state.h is float64 \(1, 2, 4\), float64 \(1, 2, 5\) was expected"):
            module(xs, (h[:, :, :4], h))


@pytest.mark.parametrize("kind", ["LSTM", "reversed"])
def test_only_what_is_asked_for_has_a_gradient(kind, torch):
    module = as_module(MAKE[kind]())
    parameters = dict(module.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_("weight" in name)
    for _ in range(3):
        module(torch.from_numpy(rng().standard_normal((T, B, F))))[0].sum().backward()
    assert all((parameter.grad is not None) == ("weight" in name) for name, parameter in parameters.items())


def test_no_gradient_is_asked_for_where_none_is_wanted(torch):
    module = as_module(MAKE["LSTM"]()).requires_grad_(False)
    xs = torch.from_numpy(rng().standard_normal((T, B, F)))
    for _ in range(3):
        assert not module(xs)[0].requires_grad
        assert module(xs.clone().requires_grad_())[0].requires_grad
    with torch.no_grad():
        assert not module(xs.clone().requires_grad_())[0].requires_grad


@pytest.mark.parametrize("kind", ["LSTM", "batch first", "reversed"])
def test_two_calls_in_one_loss_and_a_graph_that_is_pulled_twice(kind, torch):
    module, xs = as_module(MAKE[kind]()), torch.from_numpy(rng().standard_normal((T, T, F)))
    for _ in range(3):
        one, other = module(xs)[0], module(2 * xs)[0]
        together = torch.autograd.grad(one.sum() + (other**2).sum(), list(module.parameters()), retain_graph=True)
        apart = [
            torch.autograd.grad(y, list(module.parameters()), retain_graph=True) for y in (one.sum(), (other**2).sum())
        ]
        assert all(torch.allclose(t, a + b) for t, a, b in zip(together, *apart, strict=True))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_is_not_finite_is_said_so_at_every_call(value, torch):
    module, xs = as_module(MAKE["LSTM"]()), torch.ones(T, B, F, dtype=torch.float64)
    for _ in range(3):
        module(xs)
        bad = xs.clone()
        bad[1, 0, 2] = value
        with pytest.raises(ValueError, match=r"LSTM: xs holds .* at \[1, 0, 2\]"):
            module(bad)
