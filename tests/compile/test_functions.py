"""Every function that a step may call, compiled: results and gradients are those of the traced reference."""

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import error, problem

import minirnn
from minirnn import functional, tier
from minirnn.call import Call
from minirnn.compile import engine
from minirnn.functional import linear

POSITIVE = lambda a: 0.5 + a * a
CUBE = lambda a: np.reshape(a, (-1, 2, 3))
FLAT = lambda a: np.reshape(a, (-1, 6))
WIDE = lambda a: a * np.ones((1, 6))
MATRIX = onp.linspace(-1, 1, 36).reshape(6, 6)

MIDDLES = {  # of a (B, 6) and h (B, 6), to (B, 6)
    "0 - a": lambda a, h: 0.0 - a,
    "0 + a": lambda a, h: 0.0 + a,
    "a - 0": lambda a, h: (a - 0.0) * h,
    "1 / a": lambda a, h: 1.0 / POSITIVE(a),
    "a / 1 / h": lambda a, h: a / 1.0 / POSITIVE(h),
    "1 ** a, a ** 1": lambda a, h: 1.0**a + h**1,
    "powers": lambda a, h: (
        a**2 + a**3 + POSITIVE(a) ** 0.5 + POSITIVE(h) ** -0.5 + POSITIVE(a) ** -1 + POSITIVE(a) ** 1.7
    ),
    "a power of a": lambda a, h: POSITIVE(a) ** h,
    "signs": lambda a, h: np.negative(-a) * (-h) + (-a) * 2.0 - np.negative(h) - (-(a * h)),
    "numbers among factors": lambda a, h: 2.0 * a * 3.0 * h * 0.5 + 1.0 + a + 2.0 + h + 3.0,
    "many factors": lambda a, h: (a * h) * (a * (1 - h)) * (0.5 + a) * h,
    "many terms": lambda a, h: (a + h) + (a + (0.5 + h)) - (a - (h - 0.1)),
    "exp log": lambda a, h: np.exp(-a) * np.log(POSITIVE(h)) + np.expm1(a) + np.log1p(POSITIVE(h)),
    "trigonometry": lambda a, h: np.sin(a) + np.cos(h) * np.tan(0.1 * a) + np.arctan(h) + np.arctan2(a, POSITIVE(h)),
    "inverse": lambda a, h: np.arcsin(0.9 * np.tanh(a)) + np.arccos(0.9 * np.tanh(h)),
    "hyperbolic": lambda a, h: np.sinh(0.3 * a) + np.cosh(0.3 * h) + np.tanh(a),
    "square, reciprocal": lambda a, h: np.square(a) * np.reciprocal(POSITIVE(h)) + np.sqrt(POSITIVE(a)),
    "abs, sign": lambda a, h: np.abs(a) * np.sign(h) + np.fabs(h),
    "floor, ceil, mod": lambda a, h: np.floor(3 * a) * h + np.ceil(2 * h) * a + np.mod(a, 0.7) + a % 0.3,
    "maximum, minimum": lambda a, h: np.maximum(a, h) - 2 * np.minimum(a, 0.3 * h) + np.fmax(a, 0.1) + np.fmin(h, 0.2),
    "clips": lambda a, h: np.clip(a, -0.2, 0.4) + 2 * np.clip(h, 0.1, 3.0),
    "clips of one side": lambda a, h: np.clip(a, None, 0.2) + np.clip(h, -0.1, None) * np.clip(a, None, 1.0),
    "where": lambda a, h: np.where(a > h, a, 0.5 * h) + np.where(h <= 0, 1.0, a) + np.where(a == a, h, a),
    "masks": lambda a, h: (a > 0) * h + (a >= h) * a * (h < 0.3) + (h != a) * 0.1,
    "logic": lambda a, h: np.where(np.logical_and(a > 0, h > 0), a, h) + np.where(np.logical_or(a > 0.3, h < 0), h, a),
    "products of masks": lambda a, h: (
        (h > 0) @ MATRIX + np.dot(a > h, MATRIX.T) + ((a > 0) * 2) @ onp.arange(36).reshape(6, 6)
    ),
    "masks moved": lambda a, h: (
        h * (a > 0)[:, [1, 0, 0, 5, 4, 2]]
        + np.where(np.concatenate([a[:, :2] > 0, h[:, 2:] > 0], axis=1), a, h)
        + np.cumsum(h > 0, axis=1) * a
        + np.mean(a > h, axis=1, keepdims=True)
        + FLAT(np.swapaxes(CUBE(h > 0), 1, 2)) * np.einsum("bi,ij->bj", a > 0, MATRIX)
    ),
    "not, isfinite": lambda a, h: (
        np.where(np.logical_not(a > 0), a, h) + np.where(np.isfinite(a), h, 0.0) * np.where(np.isnan(h), 0.0, a)
    ),
    "functional": lambda a, h: functional.relu(a) + functional.softplus(h) * functional.sigmoid(a) + functional.tanh(h),
    "softmax": lambda a, h: (
        functional.softmax(a) + functional.log_softmax(h) * functional.softmax(CUBE(a), 1).reshape(-1, 6)
    ),
    "logsumexp": lambda a, h: (
        a - functional.logsumexp(h, keepdims=True) + functional.logsumexp(CUBE(a), 1).sum(axis=1, keepdims=True)
    ),
    "sum": lambda a, h: (
        a * np.sum(h, axis=1, keepdims=True) + np.sum(h, axis=-1)[:, None] + np.sum(CUBE(a), axis=(1, 2))[:, None]
    ),
    "products": lambda a, h: a * np.prod(h, axis=1, keepdims=True) + np.sum(np.prod(CUBE(a), axis=2), 1, keepdims=True),
    "running": lambda a, h: np.cumsum(a, axis=1) + np.cumprod(h, axis=1) + FLAT(np.cumsum(CUBE(h), axis=1)),
    "norms": lambda a, h: (
        a / np.linalg.norm(h, axis=1, keepdims=True)
        + np.linalg.norm(a, 1, axis=-1)[:, None]
        + np.linalg.norm(h, np.inf, axis=1, keepdims=True)
        + np.linalg.norm(CUBE(a), axis=(1, 2))[:, None]
    ),
    "logaddexp": lambda a, h: np.logaddexp(a, h) + np.logaddexp(0.3, h[:, :1]),
    "mean": lambda a, h: a - np.mean(h, axis=1, keepdims=True) * np.mean(CUBE(a), axis=(1, -1)).reshape(-1, 1),
    "var, std": lambda a, h: (
        a / np.std(h, axis=1, keepdims=True) + np.var(a, axis=1, ddof=1, keepdims=True) + np.var(h, -1)[:, None]
    ),
    "max, min": lambda a, h: (
        a - np.max(h, axis=1, keepdims=True) + np.min(a, 1)[:, None] * np.max(a, axis=-1, keepdims=True)
    ),
    "extremes of integers": lambda a, h: (
        a * np.max((a > h) * 1 - 5, axis=1, keepdims=True) + h * np.min((h > 0) * 3 + 7, axis=1)[:, None]
    ),
    "max within": lambda a, h: a + WIDE(np.sum(np.max(CUBE(h), axis=2), axis=1, keepdims=True)),
    "slices": lambda a, h: np.concatenate([a[:, 4:], h[:, :-2]], axis=1),
    "negative steps": lambda a, h: a[:, ::-1] + h[:, 5:0:-1] @ MATRIX[:5],
    "every second": lambda a, h: np.concatenate([a[:, ::2], h[:, 1::2]], axis=-1),
    "an index": lambda a, h: a * h[:, -1][:, None] + h[:, 2:3] * a[..., 0, None],
    "slices of slices": lambda a, h: WIDE(a[:, 1:5][:, 1:3][:, 1:]) + h,
    "slices of a concatenation": lambda a, h: (
        np.concatenate([a, h], axis=1)[:, 3:9] + np.concatenate([a, h], 1)[:, 7:8]
    ),
    "an ellipsis": lambda a, h: FLAT(CUBE(a)[..., ::-1]) + FLAT(CUBE(h)[:, ::-1, ...]),
    "split": lambda a, h: (
        np.concatenate([a[:, 4:], a[:, 1:4], a[:, :1]], axis=1) + np.concatenate(functional.split(h, 3)[::-1], -1)
    ),
    "splits": lambda a, h: (
        np.concatenate(np.split(a, 3, axis=1)[::-1], axis=1)
        + np.concatenate(np.array_split(h, 4, axis=1)[1:], axis=1)[:, :1]
        + np.split(a, [2, 5], axis=1)[-1]
    ),
    "an empty slice": lambda a, h: (
        np.concatenate([a, h[:, 3:3]], axis=1) + np.sum(a[:, 3:3]) + np.sum(h[:, 3:3], axis=1, keepdims=True)
    ),
    "known numbers": lambda a, h: (
        a[:, [5, 0, 0, -2, 1, 3]] * h[:, onp.arange(6) > 3][:, [0, 1, 0, 1, 0, 1]]
        + FLAT(CUBE(h)[:, [1, 0]])
        + np.sum(CUBE(a)[:, [0, 1, 1], [2, 0, 2]], axis=1, keepdims=True)
        + FLAT(a[:, [[0, 1, 2], [5, 4, 3]]])
    ),
    "turned around": lambda a, h: np.roll(a, 2, axis=1) + np.roll(h, -3, 1) * np.fliplr(a),
    "repeated": lambda a, h: np.tile(a[:, :3], (1, 2)) + np.repeat(h[:, :3], 2, axis=1),
    "padded": lambda a, h: np.pad(a[:, 1:5], ((0, 0), (2, 0)), "constant") + np.diff(h, axis=1)[:, [0, 1, 2, 3, 4, 4]],
    "a diagonal": lambda a, h: a @ np.diag(MATRIX[0]) + h,
    "stack": lambda a, h: FLAT(np.stack([a[:, :3], h[:, 3:]], axis=1)) + FLAT(np.stack([a[:, :3], h[:, 3:]], axis=-1)),
    "axes": lambda a, h: (
        FLAT(np.swapaxes(CUBE(a), 1, 2)) + FLAT(np.moveaxis(CUBE(h), 1, -1)) + FLAT(np.transpose(CUBE(a), (0, 2, 1)))
    ),
    "new axes": lambda a, h: np.squeeze(np.expand_dims(a, 1), 1) * np.squeeze(h[:, None, :, None], (1, 3)),
    "broadcast": lambda a, h: (
        np.broadcast_to(a[:, :1], np.shape(a)) + h + np.broadcast_to(np.sum(h, 1, keepdims=True), np.shape(h))
    ),
    "zeros, ones": lambda a, h: np.zeros_like(a) + h * np.ones_like(h) + np.full(np.shape(a), 0.3),
    "ravel": lambda a, h: np.reshape(np.ravel(a), (-1, 6)) + h.flatten().reshape((-1, 6)),
    "a product": lambda a, h: a @ MATRIX + np.dot(h, MATRIX.T) + np.matmul(a, MATRIX),
    "products of a vector": lambda a, h: (
        (a @ MATRIX[0])[:, None] * h + np.dot(h, MATRIX[1])[:, None] + np.inner(a, MATRIX[:1])
    ),
    "tensordot": lambda a, h: (
        np.tensordot(a, MATRIX, 1)
        + np.tensordot(h, MATRIX, ([1], [1]))
        + FLAT(np.tensordot(CUBE(a), MATRIX.reshape(3, 2, 6), ([2, 1], [0, 1])))
    ),
    "einsum": lambda a, h: np.einsum("bi,ij->bj", a, MATRIX) + np.einsum("bi,bi->b", a, h)[:, None] * a,
    "small products": lambda a, h: (
        FLAT(np.matmul(CUBE(a), np.matmul(np.swapaxes(CUBE(h), 1, 2), CUBE(a))))
        + FLAT(np.einsum("bij,jk->bik", CUBE(a), MATRIX[:3, :3]))
    ),
    "an outer product": lambda a, h: np.sum(a[:, :, None] * h[:, None, :], axis=1) * a,
    "matrices a row": lambda a, h: (
        FLAT(CUBE(a) @ MATRIX[:3, :3])
        + FLAT(linear(CUBE(h), MATRIX[:3, 3:]))
        + np.reshape(np.tanh(np.reshape(a, (-1, 2))) @ MATRIX[:2, :2], (-1, 6))
        + np.reshape(np.reshape(h, (-1, 3)) + MATRIX[0, :3], (-1, 6))
    ),
    "one letter of two": lambda a, h: np.einsum("bi,bj->bj", a, h) + np.einsum("bi,ij,bj->bi", h, MATRIX, a),
    "products of turned sides": lambda a, h: (
        linear(a[:, ::2], MATRIX[:, :3]) + linear(h[:, ::-1], MATRIX) + FLAT(np.swapaxes(CUBE(a), 1, 2)) @ MATRIX
    ),
    "a cast": lambda a, h: a.astype("f4").astype("f8") + h,
    "constants": lambda a, h: (
        a * onp.arange(6.0) + h * onp.array([[-0.0, 0.0, 1.0, 2.0, 2.0, 2.0]]) + onp.full(6, 0.25)
    ),
    "one value twice": lambda a, h: np.tanh(a) * h + np.tanh(a) ** 2 + np.tanh(h * a) - np.tanh(a * h),
    "loops": lambda a, h: sum(a**k * h for k in range(1, 4)),
}


class Numbers(minirnn.Cell):
    """Parameters of few numbers, one of which nothing uses, and products with what is turned."""

    def __init__(self):
        self.input_size, self.hidden_size = 3, 4
        rng = onp.random.default_rng(0)
        self.w = minirnn.Parameter(rng.uniform(-0.8, 0.8, (4, 3)))
        self.u = minirnn.Parameter(rng.uniform(-0.6, 0.6, (4, 2)))
        self.one, self.pair = minirnn.Parameter(onp.array(0.3)), minirnn.Parameter(onp.array([0.2, 0.4]))
        self.unused = minirnn.Parameter(onp.array(0.5))

    def initial_state(self, batch_size, dtype=None):
        return onp.zeros((batch_size, 4))

    def step(self, h, x):
        h = np.logaddexp(linear(x, self.w), self.one) + linear(h[:, ::-2], self.u)
        return np.tanh(np.reshape(np.logaddexp(np.reshape(h, (-1, 2, 2)), self.pair), (-1, 4))), h


def test_gradients_of_numbers_and_of_products_of_parts():
    given = problem(Numbers(), 4, 5)
    assert engine.program_for(Call(*given, None, False, None)).native == (tier.current() == "native")
    for chosen in ("numpy", tier.current()):
        with tier.tier(chosen):
            assert error(given, lengths=onp.array([4, 2, 3, 1, 4])) < 1e-9


def cell_with(middle, dtype):
    @minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
    def cell(p, h, x):
        a = linear(x, p.w) + linear(h, p.u)
        new = middle(a, h)
        return np.tanh(new), new

    return cell(3, 6, rng=onp.random.default_rng(0), dtype=dtype)


@pytest.mark.parametrize("name", MIDDLES)
def test_a_function_and_its_derivative(name):
    given = problem(cell_with(MIDDLES[name], onp.float64), 4, 5)
    program = engine.program_for(Call(*given, None, False, None))
    assert program.native == (tier.current() == "native")
    assert error(given, lengths=onp.array([4, 2, 3, 1, 4])) < 1e-9
