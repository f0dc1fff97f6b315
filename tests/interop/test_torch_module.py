"""A cell, layer or model as a torch.nn.Module: what it computes, its gradients, states, lengths and noise."""

import numpy as np
import pytest

import minirnn
from minirnn import tree
from minirnn.interop.torch import load_torch_state_dict
from minirnn.interop.torch import module as as_module

T, B, F, H = 4, 3, 3, 5
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # by torch itself


def rng():
    return np.random.default_rng(0)


def xs(dtype=np.float64):
    return np.random.default_rng(1).standard_normal((T, B, F)).astype(dtype)


def model(head=None):
    made = rng()
    layers = [minirnn.Embedding(7, F, rng=made, dtype=np.float64), minirnn.GRU(F, H, rng=made, dtype=np.float64)]
    return minirnn.Sequential(*layers, minirnn.Linear(H, 2, rng=made, dtype=np.float64))


MAKE = {
    "cell": lambda: minirnn.cells.MGU(F, H, rng=rng(), dtype=np.float64),
    "LSTM": lambda: minirnn.LSTM(F, H, 2, bidirectional=True, rng=rng(), dtype=np.float64),
    "reversed": lambda: minirnn.Recurrent(minirnn.GRUCell(F, H, rng=rng(), dtype=np.float64), reverse=True),
    "stack": lambda: minirnn.Stacked(
        [minirnn.LSTM(F, H, rng=rng(), dtype=np.float64), minirnn.cells.LEM(H, H, rng=rng(), dtype=np.float64)]
    ),
    "weight norm": lambda: minirnn.weight_norm(minirnn.GRU(F, H, rng=rng(), dtype=np.float64)),
    "learned state": lambda: minirnn.LearnedInitialState(minirnn.LSTM(F, H, rng=rng(), dtype=np.float64)),
    "linear": lambda: minirnn.Linear(F, H, rng=rng(), dtype=np.float64),
}


def as_layer(what):
    return minirnn.Recurrent(what) if isinstance(what, minirnn.Cell) else what


def outputs(result):
    return result[0] if isinstance(result, tuple) else result


def close(a, b, tolerance=1e-12):
    pairs = zip(tree.leaves(a), tree.leaves(b), strict=True)
    return all(np.allclose(x.detach().numpy(), y, rtol=tolerance, atol=tolerance) for x, y in pairs)


@pytest.mark.parametrize("kind", MAKE)
def test_it_computes_what_the_layer_does_and_its_gradients(kind, torch):
    what = MAKE[kind]()
    module, layer = as_module(what), as_layer(what)
    x = torch.from_numpy(xs()).requires_grad_()
    result = module(x)
    assert close(result, layer(xs()))
    sum((y**2).sum() for y in tree.leaves(result)).backward()

    def loss(layer, xs):
        return sum((y**2).sum() for y in tree.leaves(layer(xs)))

    grads, dx = minirnn.grad(loss, (0, 1))(what if what is layer else layer, xs())
    strip = "" if what is layer else "cell."
    assert list(grads) == [strip + name for name, _ in module.named_parameters()]
    assert close([p.grad for p in module.parameters()], list(grads.values()))
    assert close(x.grad, dx)


def test_a_whole_model_of_tokens(torch):
    what = model()
    tokens = rng().integers(0, 7, (T, B))
    module = as_module(what)
    logits, _ = module(torch.from_numpy(tokens))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(tokens).flatten() % 2).backward()
    loss = lambda model: minirnn.losses.cross_entropy(model(tokens)[0], tokens % 2)
    grads = minirnn.grad(loss)(what)
    assert close([p.grad for p in module.parameters()], list(grads.values()))


def test_named_states_stay_and_carry_gradients(torch):
    layer = MAKE["LSTM"]()
    module = as_module(layer)
    given = tree.map(lambda leaf: rng().standard_normal(leaf.shape), layer.initial_state(B))
    state = tree.map(lambda leaf: torch.from_numpy(leaf).requires_grad_(), given)
    for came in (state, tuple(state)):
        out, final = module(torch.from_numpy(xs()), came)
        assert type(final) is type(given)
        assert close((out, final), layer(xs(), given))
    (out.sum() + final.c.sum()).backward()
    assert close(
        tree.map(lambda leaf: leaf.grad, state),
        minirnn.grad(lambda state: layer(xs(), state)[0].sum() + layer(xs(), state)[1].c.sum())(given),
    )


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("as_given", [list, np.array, "tensor"])
def test_lengths_hold_the_state(batch_first, as_given, torch):
    layer = minirnn.LSTM(F, H, batch_first=batch_first, rng=rng(), dtype=np.float64)
    module = as_module(layer)
    x = xs().swapaxes(0, 1) if batch_first else xs()
    lengths = torch.tensor([4, 1, 2]) if as_given == "tensor" else as_given([4, 1, 2])
    t = torch.from_numpy(x).requires_grad_()
    result = module(t, None, lengths)
    assert close(result, layer(x, lengths=[4, 1, 2]))
    result[0].sum().backward()
    assert close(t.grad, minirnn.grad(lambda x: layer(x, lengths=[4, 1, 2])[0].sum())(x))


def test_resets_and_unbatched_sequences(torch):
    layer = minirnn.GRU(F, H, rng=rng(), dtype=np.float64)
    module = as_module(layer)
    flags = np.zeros((T, B), bool)
    flags[2, 1] = True
    found = module(torch.from_numpy(xs()), resets=torch.from_numpy(flags))
    assert close(found, layer(xs(), resets=flags))
    assert close(module(torch.from_numpy(xs()[:, 0])), layer(xs()[:, 0]))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_a_packed_sequence_goes_through_as_through_torchs_lstm(batch_first, enforce_sorted, torch):
    theirs = torch.nn.LSTM(F, H, batch_first=batch_first).double()
    ours = minirnn.LSTM(F, H, batch_first=batch_first, dtype=np.float64)
    load_torch_state_dict(ours, theirs.state_dict())
    module = as_module(ours)
    lengths = [4, 3, 1] if enforce_sorted else [2, 4, 1]
    x = torch.from_numpy(xs().swapaxes(0, 1) if batch_first else xs())
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=enforce_sorted)
    state = tuple(torch.randn(1, B, H, dtype=torch.float64) for _ in "hc")
    (out, final), (expected, last) = module(packed, state), theirs(packed, state)
    assert type(out) is type(expected)
    for one, other in zip(out, expected, strict=True):
        assert one is other or torch.allclose(one, other, atol=1e-12)
    assert close(final, [leaf.detach().numpy() for leaf in last])


# ---------------------------------------------------------------- noise
def noisy():
    return minirnn.Sequential(minirnn.GRU(F, H, rng=rng()), minirnn.Dropout(0.5), minirnn.Linear(H, 2, rng=rng()))


def test_train_makes_noise_from_torchs_seed_and_eval_makes_none(torch):
    what = noisy()
    module, x = as_module(what), torch.from_numpy(xs(np.float32))

    def trained(seed):
        torch.manual_seed(seed)
        return module(x)[0]

    first = trained(3)
    again = module(x)[0]
    assert torch.equal(first, trained(3))
    assert not torch.equal(first, trained(4))
    assert not torch.equal(first, again)
    module.eval()
    out = module(x)[0]  # differentiated, and nobody is warned of what eval() says
    assert close(out, what(xs(np.float32))[0], 1e-6)


def test_the_gradient_is_that_of_the_noise_that_was_made(torch):
    module, x = as_module(noisy().astype(np.float64)), torch.from_numpy(xs()).requires_grad_()

    def trained(x):
        torch.manual_seed(3)
        return module(x)[0]

    assert torch.autograd.gradcheck(trained, (x,))
    assert torch.autograd.gradgradcheck(trained, (x,))


def test_one_cell_draws_nothing_from_torchs_generator(torch):
    module = as_module(MAKE["cell"]())
    before = torch.get_rng_state()
    module(torch.from_numpy(xs()))
    assert torch.equal(before, torch.get_rng_state())


# ---------------------------------------------------------------- derivatives of other orders
@pytest.mark.parametrize("make", [MAKE["cell"], lambda: minirnn.LSTM(F, 2, bidirectional=True, dtype=np.float64)])
def test_derivatives_of_both_orders_and_modes(make, torch):
    module = as_module(make())
    x = torch.from_numpy(xs()[:2, :1]).requires_grad_()
    parameters = dict(module.named_parameters())

    def call(x, *values):
        return torch.func.functional_call(module, dict(zip(parameters, values, strict=True)), (x,))[0]

    inputs = (x, *parameters.values())
    assert torch.autograd.gradcheck(call, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(call, inputs)


def test_third_derivatives_and_those_of_torch_func(torch):
    module = as_module(MAKE["cell"]())
    x = torch.from_numpy(xs()[:2, :1])
    loss = lambda x: (module(x)[0] ** 2).sum()
    hessian = torch.autograd.functional.hessian(loss, x)
    assert torch.allclose(torch.func.hessian(loss)(x), hessian)  # forward over reverse
    assert torch.allclose(torch.func.jacrev(torch.func.grad(loss))(x), hessian)
    _, tangent = torch.func.jvp(loss, (x,), (x,))
    assert torch.allclose(tangent, (torch.func.grad(loss)(x) * x).sum())
    third = torch.func.grad(lambda x: torch.func.grad(lambda x: (torch.func.grad(loss)(x) ** 3).sum())(x).sum())
    step = torch.full_like(x, 1e-5)
    second = lambda x: torch.func.grad(lambda x: (torch.func.grad(loss)(x) ** 3).sum())(x).sum()
    assert torch.allclose((third(x) * step).sum(), (second(x + step) - second(x - step)) / 2, rtol=1e-4)


def test_vmap_runs_one_call_after_the_other(torch):
    module = as_module(MAKE["cell"]())
    parameters = {name: value.detach() for name, value in module.named_parameters()}
    many = torch.from_numpy(rng().standard_normal((2, T, B, F)))
    loss = lambda parameters, x: (torch.func.functional_call(module, parameters, (x,))[0] ** 2).sum()
    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, many)
    for k, x in enumerate(many):
        alone = torch.func.grad(loss)(parameters, x)
        assert all(torch.allclose(per_sample[name][k], alone[name]) for name in alone)


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda torch: torch.zeros(T, B, F, dtype=torch.bfloat16), "torch.bfloat16 tensor on cpu.*--to torch"),
        (lambda torch: torch.zeros(T, B, F, dtype=torch.float16), "torch.float16 tensor on cpu.*--to torch"),
        (lambda torch: torch.zeros(T, B, F, device="meta"), "tensor on meta.*--to torch"),
        (lambda torch: torch.zeros(T, B, F), "torch.float32 tensor came, the parameters are torch.float64; use tenso"),
        (lambda torch: np.zeros((T, B, F)), "no tensor came; torch.from_numpy"),
    ],
)
def test_another_dtype_or_device_is_refused_in_one_line(given, says, torch):
    with pytest.raises(TypeError, match=f"^MGU: .*{says}") as error:
        as_module(MAKE["cell"]())(given(torch))
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_said_as_the_layer_says_it(torch):
    module = as_module(MAKE["LSTM"]())
    with pytest.raises(ValueError, match="LSTM: xs has 4 features, input_size is 3"):
        module(torch.zeros(T, B, 4, dtype=torch.float64))


@pytest.mark.parametrize("what", [None, minirnn.Module(), "LSTM", minirnn.LSTM])
def test_what_is_no_layer_is_refused(what, torch):
    with pytest.raises(TypeError, match="a Cell, layer or model"):
        as_module(what)


def test_layers_with_half_precision_parameters_are_refused(torch):
    with pytest.raises(TypeError, match="weight is float16, float32 or float64 was expected; astype"):
        as_module(minirnn.Linear(3, 4, dtype=np.float16))
