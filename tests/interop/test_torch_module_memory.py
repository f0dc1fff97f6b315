"""A torch.nn.Module's parameters lie on the layer's own memory, whatever torch does with the module."""

import copy
import io
import pickle

import numpy as np
import pytest

import minirnn
from minirnn.interop.torch import layer as as_layer
from minirnn.interop.torch import module as as_module


def rng():
    return np.random.default_rng(0)


def xs(dtype=np.float32):
    return np.random.default_rng(1).standard_normal((4, 2, 3)).astype(dtype)


def gru():
    return minirnn.GRU(3, 5, rng=rng())


def is_tied(module):
    """The layer's arrays and the module's tensors, by name, on the same memory and of the same kind."""
    arrays, tensors = as_layer(module).parameters(frozen=True), dict(module.named_parameters())
    return list(arrays) == list(tensors) and all(
        array.ctypes.data == tensor.data_ptr() and array.dtype.name == str(tensor.dtype).removeprefix("torch.")
        for array, tensor in zip(arrays.values(), tensors.values(), strict=True)
    )


def computes_as(module, torch):
    """What it computes is what its layer computes on the reference engine, several times in a row."""
    layer = as_layer(module)
    dtype = next(iter(layer.parameters().values())).dtype
    with minirnn.engine("python"):
        expected = layer(xs(dtype))[0]
    with torch.no_grad():
        return all(np.allclose(module(torch.from_numpy(xs(dtype)))[0].numpy(), expected, atol=1e-6) for _ in range(4))


def test_what_torch_writes_the_layer_computes_with_and_the_other_way_round(torch):
    layer = gru()
    module = as_module(layer)
    assert is_tied(module)
    assert as_layer(module) is layer
    for _ in range(4):  # from the third call on, the layer goes a short way
        layer(xs())
        module(torch.from_numpy(xs()))
    before = layer(xs())[0]
    with torch.no_grad():
        next(module.parameters()).mul_(2)
    after = layer(xs())[0]
    assert not np.allclose(after, before)
    assert computes_as(module, torch)
    layer.layers[0].cell.weight_hh[...] = 0
    assert not np.allclose(layer(xs())[0], after)
    assert computes_as(module, torch)


def test_an_optimiser_of_torch_trains_the_layer(torch):
    layer = gru()
    module = as_module(layer)
    optimizer, x = torch.optim.Adam(module.parameters(), lr=0.05), torch.from_numpy(xs())
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((module(x)[0] - 0.3) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert np.isclose(((layer(xs())[0] - 0.3) ** 2).mean(), ((module(x)[0] - 0.3) ** 2).mean().item())
    assert is_tied(module)


COPIES = {
    "deepcopy": lambda torch, module: copy.deepcopy(module),
    "pickle": lambda torch, module: pickle.loads(pickle.dumps(module)),
    "torch.save": lambda torch, module: saved_and_loaded(torch, module),
    "within another": lambda torch, module: copy.deepcopy(torch.nn.Sequential(module))[0],
}


def saved_and_loaded(torch, module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_a_layer_of_its_own_on_its_own_memory(how, torch):
    module = as_module(gru())
    module(torch.from_numpy(xs()))
    other = COPIES[how](torch, module)
    assert is_tied(other)
    assert is_tied(module)
    assert as_layer(other) is not as_layer(module)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert computes_as(other, torch)
    assert not torch.equal(other(torch.from_numpy(xs()))[0], module(torch.from_numpy(xs()))[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda torch, module: module.double(),
        lambda torch, module: module.double().float(),
        lambda torch, module: module.half().float(),
        lambda torch, module: torch.nn.Sequential(module).to(torch.float64)[0],
        lambda torch, module: module.share_memory(),
        lambda torch, module: module.load_state_dict(module.state_dict(), assign=True) and module,
        lambda torch, module: module.load_state_dict({k: 2 * v for k, v in module.state_dict().items()}) and module,
        lambda torch, module: setattr(next(module.parameters()), "data", torch.ones(15, 3)) or module,
    ],
    ids=["double", "back", "by half", "within", "share", "assign", "load", "data"],
)
def test_whatever_torch_does_the_memory_is_one(change, torch):
    module = as_module(gru())
    module(torch.from_numpy(xs()))
    module = change(torch, module)
    assert computes_as(module, torch)
    assert is_tied(module)


def test_a_module_in_half_precision_says_what_runs_there(torch):
    module = as_module(gru()).to(torch.bfloat16)
    for call in (lambda: module(torch.from_numpy(xs()).bfloat16()), lambda: as_layer(module)):
        with pytest.raises(TypeError, match=r"GRU: a torch.bfloat16 tensor on cpu came.*minirnn export .* --to torch"):
            call()


def test_names_shapes_and_kinds_carry_over_and_come_back(torch):
    rows = minirnn.Sequential(minirnn.Embedding(5, 5, rng=rng()), gru_of(5), minirnn.Linear(5, 5, rng=rng()))
    minirnn.tie(rows, "layers.2.weight", "layers.0.weight")
    rows.freeze("*bias*")
    module = as_module(rows)
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == {
        k: v.shape for k, v in rows.state_dict().items()
    }
    assert [n for n, p in module.named_parameters() if p.requires_grad] == list(rows.parameters())
    module.requires_grad_(False)
    assert not as_layer(module).parameters()
    module.layers.get_submodule("0").weight.requires_grad_(True)
    assert list(as_layer(module).parameters()) == ["layers.0.weight"]
    with torch.no_grad():
        module.get_parameter("layers.0.weight").fill_(2)
    assert (rows.layers[2].weight == 2).all()


def gru_of(size):
    return minirnn.GRU(size, 5, rng=rng())


def test_buffers_are_buffers(torch):
    cell = minirnn.cells.LMU(3, 5, rng=rng())
    module = as_module(cell)
    assert [n for n, _ in module.named_buffers()] == [n for n in cell.state_dict() if n not in cell.parameters()]
    assert dict(module.named_buffers())
    assert [n for n, _ in module.named_parameters()] == list(cell.parameters())


def test_inputs_outputs_and_gradients_are_not_copied(torch, monkeypatch):
    came, left = [], []

    class Seen(minirnn.Module):
        def __init__(self):
            self.w = minirnn.Parameter(np.ones(3))

        def __call__(self, x):
            came.append(x)
            left.append(x * self.w)
            return left[-1]

    x = torch.ones(4, 3, dtype=torch.float64)
    with torch.no_grad():
        y = as_module(Seen())(x)
    assert came[0].ctypes.data == x.data_ptr()
    assert left[0].ctypes.data == y.data_ptr()


def test_results_share_memory_with_nothing_that_came(torch):
    module, x = as_module(minirnn.Dropout(0.5)).eval(), torch.ones(3)
    module(x).fill_(2)
    assert torch.equal(x, torch.ones(3))


@pytest.mark.parametrize("write", [lambda m, x, y: x.add_(1), lambda m, x, y: next(m.parameters()).add_(1)])
def test_writing_in_place_before_the_backward_pass_is_torchs_error(write, torch):
    module, x = as_module(gru()), torch.from_numpy(xs())
    out = module(x)[0]
    with torch.no_grad():
        write(module, x, out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_what_a_graph_kept_goes_with_it(torch):
    from minirnn.interop.torch.function import _records

    module = as_module(gru())
    before = len(_records)
    loss = module(torch.from_numpy(xs()))[0].sum()
    assert len(_records) == before + 1
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(_records) == before  # though the loss lives
    module(torch.from_numpy(xs()))
    assert len(_records) == before


def test_a_checkpointed_module_is_run_again_for_its_gradient(torch):
    module, x = as_module(gru()), torch.from_numpy(xs()).requires_grad_()
    plain = torch.autograd.grad(module(x)[0].sum(), [x, *module.parameters()])
    again = torch.utils.checkpoint.checkpoint(lambda x: module(x)[0].sum(), x, use_reentrant=False)
    for a, b in zip(plain, torch.autograd.grad(again, [x, *module.parameters()]), strict=True):
        assert torch.equal(a, b)


def test_saved_tensors_may_be_copied_elsewhere(torch):
    module, x = as_module(gru()), torch.from_numpy(xs()).requires_grad_()
    plain = torch.autograd.grad(module(x)[0].sum(), [x, *module.parameters()])
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        copied = module(x)[0].sum()
    for a, b in zip(plain, torch.autograd.grad(copied, [x, *module.parameters()]), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_what_no_bridge_made_has_no_layer(torch):
    with pytest.raises(TypeError, match=r"LSTM came, what minirnn.interop.torch.module made was expected"):
        as_layer(torch.nn.LSTM(3, 5))
