"""Initialisers: functions (rng, shape, dtype) -> array, and `apply`, which writes them into a model.

What needs no number is an initialiser itself (`zeros`, `orthogonal`); what needs one makes an initialiser
(`normal(0.02)`, `forget_bias(1.0)`). A weight is (fan_out, fan_in), as everywhere in minirnn.

    init.apply(model, {"*.weight_hh": init.per_gate(init.orthogonal, 4), "*.bias_ih": init.forget_bias(1.0)}, rng=rng)
"""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from minirnn.module import Array, Module

__all__ = [
    "Initialiser",
    "apply",
    "chrono",
    "constant",
    "forget_bias",
    "he_normal",
    "he_uniform",
    "identity",
    "normal",
    "ones",
    "orthogonal",
    "per_gate",
    "torch_default",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = tuple[int, ...]
Initialiser = Callable[[np.random.Generator, Shape, Any], Array]


# ---------------------------------------------------------------- constants
def zeros(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    """0 everywhere."""
    return np.zeros(shape, dtype)


def ones(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    """1 everywhere."""
    return np.ones(shape, dtype)


def constant(value: float) -> Initialiser:
    """One value everywhere."""
    return lambda rng, shape, dtype: np.full(shape, value, dtype)


def identity(rng: np.random.Generator, shape: Shape, dtype: Any, gain: float = 1.0) -> Array:
    """gain on the diagonal of an (O, I) matrix, 0 beside it: the IRNN's start (Le et al. 2015, arXiv:1504.00941)."""
    rows, columns = _matrix("identity", shape)
    return (gain * np.eye(rows, columns)).astype(dtype)


# ---------------------------------------------------------------- independent draws
def uniform(low: float, high: float) -> Initialiser:
    """U(low, high). ValueError: low > high."""
    if not low <= high:
        raise ValueError(f"init.uniform: low={low} and high={high} came, low <= high was expected")
    return lambda rng, shape, dtype: rng.uniform(low, high, shape).astype(dtype)


def normal(std: float) -> Initialiser:
    """N(0, std^2). ValueError: std < 0."""
    if not std >= 0:
        raise ValueError(f"init.normal: std={std} came, 0 or more was expected")
    return lambda rng, shape, dtype: (std * rng.standard_normal(shape)).astype(dtype)


def torch_default(size: int) -> Initialiser:
    """U(-k, k), k = 1 / sqrt(size): PyTorch's start for Linear (size: inputs) and for RNN, LSTM, GRU (size: hidden)."""
    if not size >= 1:
        raise ValueError(f"init.torch_default: size={size} came, a positive integer was expected")
    return uniform(-(size**-0.5), size**-0.5)


def xavier_uniform(rng: np.random.Generator, shape: Shape, dtype: Any, gain: float = 1.0) -> Array:
    """U(-k, k), k = gain sqrt(6 / (fan_in + fan_out)), for tanh and sigmoid (Glorot & Bengio 2010, AISTATS)."""
    bound = gain * (6.0 / sum(_fans("xavier_uniform", shape))) ** 0.5
    return uniform(-bound, bound)(rng, shape, dtype)


def xavier_normal(rng: np.random.Generator, shape: Shape, dtype: Any, gain: float = 1.0) -> Array:
    """N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010, AISTATS)."""
    return normal(gain * (2.0 / sum(_fans("xavier_normal", shape))) ** 0.5)(rng, shape, dtype)


def he_uniform(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    """U(-k, k), k = sqrt(6 / fan_in), for relu (He et al. 2015, arXiv:1502.01852)."""
    bound = (6.0 / _fans("he_uniform", shape)[0]) ** 0.5
    return uniform(-bound, bound)(rng, shape, dtype)


def he_normal(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    """N(0, std^2), std = sqrt(2 / fan_in), for relu (He et al. 2015, arXiv:1502.01852)."""
    return normal((2.0 / _fans("he_normal", shape)[0]) ** 0.5)(rng, shape, dtype)


# ---------------------------------------------------------------- matrices
def orthogonal(rng: np.random.Generator, shape: Shape, dtype: Any, gain: float = 1.0) -> Array:
    """gain times a matrix whose rows (or columns, if there are fewer) are orthonormal, uniformly drawn.

    The Q of a Gaussian matrix's QR, with R's diagonal made positive (Saxe et al. 2014, arXiv:1312.6120; Mezzadri 2007).
    """
    rows, columns = _matrix("orthogonal", shape)
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return (gain * (q.T if rows < columns else q)).astype(dtype)


# ---------------------------------------------------------------- gates
def per_gate(initialiser: Initialiser, gates: int) -> Initialiser:
    """Draw each gate's block of a stacked (gates * H, ...) array by itself, so that its fans are (H, ...)."""

    def draw(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
        size = _block("per_gate", shape, gates)
        return np.concatenate([initialiser(rng, (size, *shape[1:]), dtype) for _ in range(gates)])

    return draw


def forget_bias(value: float = 1.0) -> Initialiser:
    """An LSTM's (4H,) bias in the order i, f, g, o: `value` for f, so that it keeps at first, 0 for the others.

    Use it on one of the two biases, bias_ih (Gers et al. 2000, doi:10.1162/089976600300015015; Jozefowicz et al. 2015).
    """

    def draw(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
        if len(shape) != 1:
            raise ValueError(f"init.forget_bias: shape {shape} came, a bias (4H,) was expected")
        size = _block("forget_bias", shape, 4)
        bias = np.zeros(shape, dtype)
        bias[size : 2 * size] = value
        return bias

    return draw


def chrono(steps: int, gates: int) -> Initialiser:
    """Biases with which units begin by keeping what they hold for 2 .. `steps` steps, each for its own time.

    b = log u, u ~ U(1, steps - 1), so that 1 / (1 - sigmoid(b)) = 1 + u steps. gates=4, an LSTM's (4H,) in the order
    i, f, g, o: b for f, -b for i; gates=3, a GRU's (3H,) in the order r, z, n: b for z; 0 for the others. Use it on one
    of the two biases, bias_ih, and zeros on the other (Tallec & Ollivier 2018, arXiv:1804.11188).
    """
    signs = {4: (-1, 1, 0, 0), 3: (0, 1, 0)}.get(gates)
    if signs is None or not steps >= 2:
        raise ValueError(f"init.chrono: steps={steps!r} and gates={gates!r} came, 2 or more and 3 or 4 were expected")

    def draw(rng: np.random.Generator, shape: Shape, dtype: Any) -> Array:
        if len(shape) != 1:
            raise ValueError(f"init.chrono: shape {shape} came, a bias ({gates}H,) was expected")
        bias = np.log(rng.uniform(1, steps - 1, _block("chrono", shape, gates)))
        return np.concatenate([sign * bias for sign in signs]).astype(dtype)

    return draw


# ---------------------------------------------------------------- models
def apply(model: Module, initialisers: Mapping[str, Initialiser], *, rng: np.random.Generator) -> None:
    """Draw anew, in place, the parameters whose dotted path matches a glob; the first glob that matches counts.

    Nothing is written unless every draw is right. ValueError: a glob that matches no parameter, or an initialiser that
    does not take the shape or gives another.
    """
    parameters = model.parameters()
    for pattern in initialisers:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            raise ValueError(f"init.apply: no parameter matches {pattern!r}; the names are {', '.join(parameters)}")
    drawn: dict[str, Array] = {}
    for name, value in parameters.items():
        initialiser = next((f for pattern, f in initialisers.items() if fnmatchcase(name, pattern)), None)
        if initialiser is not None:
            try:
                drawn[name] = np.asarray(initialiser(rng, value.shape, value.dtype))
            except ValueError as error:
                raise ValueError(f"init.apply: {name}: {error}") from error
            if drawn[name].shape != value.shape:
                raise ValueError(f"init.apply: {name} has shape {value.shape}, {drawn[name].shape} was drawn")
    for name, array in drawn.items():
        parameters[name][...] = array


def _matrix(name: str, shape: Shape) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"init.{name}: shape {shape} came, a matrix (O, I) was expected")
    return shape[0], shape[1]


def _fans(name: str, shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (O, I, ...), whose further axes are a convolution's window."""
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"init.{name}: shape {shape} came, a weight (O, I) was expected")
    window = int(np.prod(shape[2:]))
    return shape[1] * window, shape[0] * window


def _block(name: str, shape: Shape, gates: int) -> int:
    size, rest = divmod(shape[0] if shape else 1, gates)
    if rest:
        raise ValueError(f"init.{name}: shape {shape} came, ({gates} * H, ...) was expected")
    return size
