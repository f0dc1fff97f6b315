"""Every published cell as a torch.nn.Module: parity, torch's own checks of its derivatives and of its operator, and one
graph under torch.compile."""

import numpy as np
import pytest
from few import few

import minirnn
from minirnn import tree
from minirnn.interop.torch import module as as_module
from minirnn.layers.sizes import as_shape

T, B = 2, 2
pytestmark = pytest.mark.parametrize("name", few(minirnn.cells.names(), ["MGU", "mLSTM", "ClockworkRNN"]))


def made(name, torch):
    """The cell, its module, and xs and a state as tensors that want a gradient."""
    rng = np.random.default_rng(3)
    cell = minirnn.cells.small(name, rng=rng)
    x = rng.standard_normal((T, B, *as_shape(cell.input_size)))
    state = tree.map(lambda leaf: leaf + 0.3 * rng.uniform(0.1, 1, leaf.shape), cell.initial_state(B))
    tensors = tree.map(lambda leaf: torch.from_numpy(leaf).requires_grad_(), (x, state))
    return cell, as_module(cell), *tensors


def as_function(module, x, state):
    """A function of tensors alone, and the tensors: the inputs, the state's arrays, the parameters."""
    (leaves, rebuild), parameters = tree.flatten(state), dict(module.named_parameters())
    names, count = list(parameters), 1 + len(leaves)

    def call(x, *rest):
        import torch

        given = dict(zip(names, rest[count - 1 :], strict=True))
        return tuple(tree.leaves(torch.func.functional_call(module, given, (x, rebuild(rest[: count - 1])))))

    return call, (x, *leaves, *parameters.values())


def test_outputs_states_and_gradients_are_those_of_the_cell(name, torch, worst_errors):
    cell, module, x, state = made(name, torch)
    result = module(x, state)
    leaves = tree.leaves(result)
    inputs = [*module.parameters(), x, *tree.leaves(state)]
    grads = torch.autograd.grad(sum((leaf**2).sum() for leaf in leaves), inputs)

    def loss(layer, x, state):
        return sum((leaf**2).sum() for leaf in tree.leaves(layer(x, state)))

    values = tree.map(lambda leaf: leaf.detach().numpy(), (x, state))
    with minirnn.engine("python"):
        expected = minirnn.Recurrent(cell)(*values)
        ours, *rest = minirnn.grad(loss, (0, 1, 2))(minirnn.Recurrent(cell), *values)
    pairs = zip((*leaves, *grads), (*tree.leaves(expected), *ours.values(), *tree.leaves(rest)), strict=True)
    errors = [np.abs(a.detach().numpy() - b).max() / (1 + np.abs(b).max()) for a, b in pairs]
    worst_errors("torch")("module, float64", max(errors), name)
    assert max(errors) < 1e-10


def test_torch_finds_its_gradient_right(name, torch):
    _, module, x, state = made(name, torch)
    assert torch.autograd.gradcheck(*as_function(module, x, state))


def test_torch_finds_its_second_derivative_right(name, torch):
    _, module, x, state = made(name, torch)
    assert torch.autograd.gradgradcheck(*as_function(module, x, state), fast_mode=True)


def test_torch_finds_its_operator_well_made(name, torch):
    _, module, x, state = made(name, torch)
    key, kind, tensors = module.operands(x, state)
    wanted = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
    checks = torch.library.opcheck(torch.ops.minirnn.call.default, (key, kind, wanted, tensors))
    assert set(checks.values()) == {"SUCCESS"}


def test_it_is_one_graph_under_compile(name, torch):
    torch.compiler.reset()
    _, module, x, state = made(name, torch)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    inputs = [*module.parameters(), x, *tree.leaves(state)]
    numbers = []
    for run in (module, compiled):
        leaves = tree.leaves(run(x, state))
        numbers.append([*leaves, *torch.autograd.grad(sum((leaf**2).sum() for leaf in leaves), inputs)])
    assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(*numbers, strict=True))
