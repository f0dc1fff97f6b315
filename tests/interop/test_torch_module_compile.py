"""A module under torch.compile: one operator, with shapes for tracing, and the same numbers."""

import gc

import numpy as np
import pytest
from few import few

import minirnn
from minirnn import tree
from minirnn.interop.torch import module as as_module

T, B, F, H = 4, 2, 3, 5


def rng(seed=0):
    return np.random.default_rng(seed)


@minirnn.cell(w=("hidden", "input"))
def two_outputs(p, h, x):
    h = 0.5 * h + x @ p.w.T
    return h, (h, h[:, :2])


class Pooled(minirnn.Module):
    """A model whose result has no steps, and a part that does not depend on the batch."""

    def __init__(self):
        self.rnn, self.head = minirnn.GRU(F, H, rng=rng()), minirnn.Linear(H, 3, rng=rng())

    def __call__(self, xs, lengths=None):
        outputs, state = self.rnn(xs, lengths=lengths)
        return self.head(minirnn.functional.stack([outputs[0], state[0]]))


def tokens():
    layers = minirnn.Embedding(7, F, rng=rng()), minirnn.LSTM(F, H, rng=rng()), minirnn.Linear(H, 2, rng=rng())
    return minirnn.Sequential(*layers)


def noisy():
    return minirnn.Sequential(minirnn.GRU(F, H, rng=rng()), minirnn.Dropout(0.5))


def xs(steps=T):
    return rng(1).standard_normal((steps, B, F)).astype(np.float32)


def state_of(layer):
    return tree.map(lambda leaf: rng(2).standard_normal(leaf.shape).astype(leaf.dtype), layer.initial_state(B))


# what is made, and the arguments of a call of it
CASES = {
    "LSTM": (lambda: minirnn.LSTM(F, H, 2, bidirectional=True, rng=rng()), lambda m: ((xs(),), {})),
    "state": (lambda: minirnn.LSTM(F, H, rng=rng()), lambda m: ((xs(), state_of(m)), {})),
    "lengths": (lambda: minirnn.GRU(F, H, rng=rng()), lambda m: ((xs(),), {"lengths": np.array([4, 1])})),
    "batch first": (
        lambda: minirnn.GRU(F, H, batch_first=True, rng=rng()),
        lambda m: ((xs().swapaxes(0, 1).copy(), state_of(m)), {}),
    ),
    "resets": (
        lambda: minirnn.LSTM(F, H, rng=rng()),
        lambda m: ((xs(), state_of(m)), {"resets": np.eye(T, B, dtype=bool), "reset_state": m.initial_state(B)}),
    ),
    "unbatched": (lambda: minirnn.LSTM(F, H, rng=rng()), lambda m: ((xs()[:, 0].copy(),), {})),
    "counters": (lambda: minirnn.Counted(minirnn.cells.ClockworkRNN(F, 4, rng=rng())), lambda m: ((xs(),), {})),
    "outputs": (lambda: minirnn.Recurrent(two_outputs(F, H, rng=rng())), lambda m: ((xs(),), {})),
    "tokens": (tokens, lambda m: ((rng().integers(0, 7, (T, B)),), {})),
    "pooled": (Pooled, lambda m: ((xs(),), {"lengths": np.array([4, 1])})),
    "noise": (noisy, lambda m: ((xs(),), {})),
    "linear": (lambda: minirnn.Linear(F, H, rng=rng()), lambda m: ((xs(),), {})),
}


def made(kind, torch):
    """A module, and its arguments as tensors, of which the floats want a gradient."""
    make, call = CASES[kind]
    what = make()
    given = tree.map(torch.from_numpy, call(what))
    for leaf in tree.leaves(given):
        leaf.requires_grad_(leaf.is_floating_point())
    return as_module(what), *given


def numbers(torch, module, args, named):
    """The result, and the gradients of all that has one."""
    torch.manual_seed(5)
    result = module(*args, **named)
    floats = [leaf for leaf in tree.leaves(result) if leaf.requires_grad]
    inputs = [*module.parameters(), *[leaf for leaf in tree.leaves((args, named)) if leaf.requires_grad]]
    return result, torch.autograd.grad(sum((leaf**2).sum() for leaf in floats), inputs, allow_unused=True)


KINDS = few(CASES, ["LSTM", "noise"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_is_what_torch_asks_of_one(kind, torch):
    module, args, named = made(kind, torch)
    key, kind, tensors = module.operands(*args, **named)
    wanted = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
    checks = torch.library.opcheck(torch.ops.minirnn.call.default, (key, kind, wanted, tensors))
    assert set(checks.values()) == {"SUCCESS"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_traced_whole_and_gives_the_same(kind, torch):
    torch.compiler.reset()
    module, args, named = made(kind, torch)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    (expected, grads), (found, others) = [numbers(torch, m, args, named) for m in (module, compiled)]
    assert repr(tree.map(lambda leaf: 0, found)) == repr(tree.map(lambda leaf: 0, expected))
    for a, b in zip((*tree.leaves(expected), *grads), (*tree.leaves(found), *others), strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


def test_one_graph_serves_all_lengths_and_batches(torch):
    torch.compiler.reset()
    module, graphs = as_module(minirnn.GRU(F, H, rng=rng())), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(module, fullgraph=True, backend=backend, dynamic=True)
    for steps, batch in [(4, 2), (7, 2), (9, 5), (12, 8)]:
        x = torch.randn(steps, batch, F)
        for a, b in zip(compiled(x), module(x), strict=True):
            assert torch.equal(a, b)
    assert len(graphs) == 1
    calls = [node for node in graphs[0].graph.nodes if node.op == "call_function" and "minirnn" in str(node.target)]
    assert [str(node.target) for node in calls] == ["minirnn.call.default"]


def test_a_model_of_both_trains_under_compile(torch):
    torch.compiler.reset()
    torch.manual_seed(0)

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.rnn = torch.nn.Linear(F, F), as_module(minirnn.cells.MGU(F, H, rng=rng()))
            self.after = torch.nn.Linear(H, 1)

        def forward(self, x):
            return self.after(self.rnn(self.before(x))[0])

    model = Both()
    compiled, optimizer = (
        torch.compile(model, fullgraph=True, backend="aot_eager"),
        torch.optim.Adam(model.parameters(), 0.05),
    )
    x = torch.randn(T, 8, F)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = ((compiled(x) - x.sum(-1, keepdim=True).tanh()) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_every_call_of_a_graph_reads_the_weights_anew(torch):
    torch.compiler.reset()
    module = as_module(minirnn.LSTM(F, H, rng=rng()))
    compiled, state = torch.compile(module, fullgraph=True, backend="aot_eager"), None
    for turn in range(5):
        x = torch.from_numpy(rng(turn).standard_normal((T, B, F)).astype(np.float32))
        numbers = []
        for run in (module, compiled):
            y, final = run(x, state)
            numbers.append([y, *torch.autograd.grad((y**2).sum() + final.c.sum(), list(module.parameters()))])
        assert all(torch.equal(a, b) for a, b in zip(*numbers, strict=True))
        with minirnn.engine("python"):
            ours = minirnn.interop.torch.layer(module)(x.numpy(), tree.map(lambda leaf: leaf.numpy(), state))[0]
        assert np.allclose(y.detach().numpy(), ours, atol=1e-6)
        state = tree.map(lambda leaf: leaf.detach(), final)
        with torch.no_grad():
            next(module.parameters()).add_(0.1)


def test_the_operator_itself_has_both_derivatives(torch):
    module = as_module(minirnn.cells.LEM(F, 3, rng=rng(), dtype=np.float64))
    x = torch.from_numpy(xs().astype(np.float64)).requires_grad_()
    key, kind, tensors = module.operands(x)

    def call(*tensors):
        return torch.ops.minirnn.call.default(key, kind, list(range(len(tensors))), list(tensors))[0]

    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


def test_a_graph_whose_record_is_gone_is_computed_again(torch):
    module = as_module(minirnn.LSTM(F, H, rng=rng()))
    key, kind, tensors = module.operands(torch.from_numpy(xs()))
    everything = list(range(len(tensors)))
    *results, ticket = torch.ops.minirnn.call.default(key, kind, everything, tensors)
    there, ones = [True, False, False], [torch.ones_like(results[0])]
    pull = lambda ticket: torch.ops.minirnn.pull.default(key, kind, everything, there, [*tensors, ticket], ones)
    with torch.no_grad():
        for a, b in zip(pull(ticket), pull(torch.zeros_like(ticket)), strict=True):
            assert torch.allclose(a, b, atol=1e-6)


def test_a_module_that_is_gone_is_said_to_be(torch):
    module = as_module(minirnn.GRU(F, H, rng=rng()))
    key, kind, tensors = module.operands(torch.from_numpy(xs()))
    del module
    gc.collect()
    with pytest.raises(RuntimeError, match="is gone; keep it"):
        torch.ops.minirnn.call.default(key, kind, [], tensors)


def test_shapes_that_are_no_multiples_of_the_arguments_are_refused(torch):
    class Half(minirnn.Module):
        def __call__(self, xs):
            return 2 * xs[: len(xs) // 2]

    torch.compiler.reset()
    compiled = torch.compile(as_module(Half()), fullgraph=True, backend="eager", dynamic=True)
    with pytest.raises(Exception, match="compile with dynamic=False"):
        compiled(torch.ones(6, 2))
    torch.compiler.reset()
    compiled = torch.compile(as_module(Half()), fullgraph=True, backend="eager", dynamic=False)
    assert compiled(torch.ones(6, 2)).shape == (3, 2)


def test_what_does_not_fit_is_said_while_tracing(torch):
    torch.compiler.reset()
    compiled = torch.compile(as_module(minirnn.GRU(F, H, rng=rng())), fullgraph=True, backend="eager")
    with pytest.raises(Exception, match=r"GRU: a torch.float16 tensor on cpu came.*--to torch"):
        compiled(torch.ones(T, B, F).half())
