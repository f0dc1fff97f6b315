import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import Recurrent
from minirnn.layers.cells.convlstm import ConvLSTM
from minirnn.layers.cells.convolution import convolve

sigmoid = lambda x: 1 / (1 + onp.exp(-x))


def by_loops(x, weight):
    """Every output pixel by itself."""
    edge = weight.shape[-1] // 2
    padded = onp.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    out = onp.zeros((len(x), len(weight), *x.shape[2:]))
    for b, o, i, j in onp.ndindex(out.shape):
        out[b, o, i, j] = (padded[b, :, i : i + 2 * edge + 1, j : j + 2 * edge + 1] * weight[o]).sum()
    return out


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_is_its_loops_and_torchs(rng, torch, kernel):
    x, weight = rng.standard_normal((2, 3, 4, 6)), rng.standard_normal((5, 3, kernel, kernel))
    onp.testing.assert_allclose(convolve(x, weight), by_loops(x, weight), rtol=1e-11, atol=1e-12)
    expected = torch.conv2d(torch.tensor(x), torch.tensor(weight), padding=kernel // 2)
    onp.testing.assert_allclose(convolve(x, weight), expected.numpy(), rtol=1e-11, atol=1e-12)


def test_a_convolutions_gradient_is_torchs_in_both_orders(rng, torch):
    arrays = [rng.standard_normal((2, 3, 4, 3)), rng.standard_normal((2, 3, 3, 3))]
    moves = [rng.standard_normal(a.shape) for a in arrays]
    gradient = minirnn.grad(lambda x, w: np.sum(np.tanh(convolve(x, w)) ** 2), argnums=(0, 1))
    ours = (*gradient(*arrays), *minirnn.jvp(gradient, tuple(arrays), tuple(moves))[1])
    x, w = (torch.tensor(a, requires_grad=True) for a in arrays)
    first = torch.autograd.grad((torch.conv2d(x, w, padding=1).tanh() ** 2).sum(), (x, w), create_graph=True)
    along = sum((g * torch.tensor(m)).sum() for g, m in zip(first, moves, strict=True))
    theirs = (*first, *torch.autograd.grad(along, (x, w)))
    for a, b in zip(ours, theirs, strict=True):
        onp.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-10, atol=1e-11)


def test_one_step_is_its_equations_with_convolutions_by_loops(rng):
    cell = ConvLSTM((2, 4, 3), 2, rng=rng, dtype=onp.float64)
    cell.v, cell.b = rng.standard_normal(cell.v.shape), rng.standard_normal(cell.b.shape)
    x, h, c = rng.standard_normal((3, 2, 4, 3)), *rng.standard_normal((2, 3, 2, 4, 3))
    i, f, g, o = onp.split(by_loops(x, cell.w) + by_loops(h, cell.u) + cell.b[:, None, None], 4, axis=1)
    v_i, v_f, v_o = onp.split(cell.v, 3)
    c_new = sigmoid(f + v_f * c) * c + sigmoid(i + v_i * c) * onp.tanh(g)
    h_new = sigmoid(o + v_o * c_new) * onp.tanh(c_new)
    state, output = cell.step(type(cell.initial_state(3))(h, c), x)
    onp.testing.assert_allclose(state.c, c_new, rtol=1e-11)
    onp.testing.assert_allclose(output, h_new, rtol=1e-11)


def test_a_film_keeps_its_frames_size_with_any_layout(rng):
    xs = rng.standard_normal((5, 2, 3, 4, 6)).astype(onp.float32)
    cell = ConvLSTM((3, 4, 6), 7, kernel=5, rng=rng)
    outputs, final = Recurrent(cell)(xs)
    assert outputs.shape == (5, 2, 7, 4, 6)
    assert outputs.dtype == onp.float32
    onp.testing.assert_allclose(Recurrent(cell)(xs[:, 0])[0], outputs[:, 0], atol=1e-6)
    onp.testing.assert_allclose(Recurrent(cell, batch_first=True)(xs.swapaxes(0, 1))[1].h, final.h, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((3, 4), {}, r"input_size=3 came, a frame's shape \(C, Y, X\)"),
        (((3, 4), 4), {}, "a frame's shape"),
        (((3, 0, 4), 4), {}, "input_size=0 came"),
        (((3, 4, 4), 4), {"kernel": 2}, "kernel=2 came, an odd number"),
    ],
)
def test_what_is_no_frame_or_window_is_refused(arguments, options, says):
    with pytest.raises(ValueError, match=says):
        ConvLSTM(*arguments, **options)
