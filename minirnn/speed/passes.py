"""One pass over a batch of sequences, as each library makes it: a call to be timed, and the numbers that it gives.

A twin is the same cell as another library's user writes it:

    cell_torch(input_size, hidden_size) -> torch.nn.Module      called on xs (T, B, I): outputs (T, B, H), or a tuple
                                                                that begins with them
    cell_jax(p, state, x) -> (state, output)                    p: the cell's arrays by name; state: nested as the
                                                                cell's, (B, ...); x: (B, I). It runs in lax.scan

PyTorch's is given the cell's weights where its parameters have the cell's names (but for the "_l0" at the end of those
of torch.nn's layers) and shapes; JAX's runs on the cell's own.
"""

from collections.abc import Callable, Mapping
from importlib import import_module  # of what need not be installed
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

from minirnn import threads, tree
from minirnn.layers import Cell, Recurrent
from minirnn.layers.sizes import as_shape
from minirnn.module import Array
from minirnn.speed.cells import built
from minirnn.speed.timing import THREADS, interleaved
from minirnn.tier import tier
from minirnn.transform import value_and_grad

__all__ = [
    "Call",
    "Pass",
    "Size",
    "Values",
    "jax_pass",
    "jax_values",
    "our_pass",
    "our_values",
    "peak",
    "torch_pass",
    "torch_values",
]

Call = Callable[[], Any]
Size = tuple[int, int, int, int]
AnyCell = type[Cell] | Cell


class Pass(NamedTuple):
    """What is done: (B, T, I, H); "train", the outputs' sum and its gradients by all weights and the input, or
    "forward", the outputs alone; a float dtype; how many threads may be used."""

    size: Size
    mode: str = "train"
    dtype: str = "float32"
    threads: int = THREADS

    def xs(self, cell: Cell) -> Array:
        """(T, B, I) standard normal numbers, the same each time."""
        batch, steps, _, _ = self.size
        shape = steps, batch, *as_shape(cell.input_size)
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32).astype(self.dtype)


class Values(NamedTuple):
    """Outputs (T, B, H), and the gradients of a random sum of them: by the input, and by what is trained, by name."""

    outputs: Array
    d_xs: Array
    d_weights: Mapping[str, Array]


def peak(dtype: str, count: int) -> float:
    """Floating-point operations a second of one large matrix product on so many threads: the best of several."""
    threads.set_num_threads(count)
    a = np.ones((2048, 2048), dtype)
    return 2 * 2048**3 / interleaved({"product": lambda: a @ a}, seconds=1.0, rounds=5)["product"].low


def _weights_of_sum(outputs: Any) -> Array:
    return np.random.default_rng(1).standard_normal(np.shape(outputs)).astype(np.dtype(str(outputs.dtype)))


# ---------------------------------------------------------------- minirnn
def _ours(cell: AnyCell, what: Pass, engine: str) -> tuple[Recurrent, Array]:
    threads.set_num_threads(what.threads)
    made = built(cell, *what.size[2:], what.dtype)
    return Recurrent(made, engine=engine), what.xs(made)


def our_pass(cell: AnyCell, what: Pass, engine: str = "auto", kernels: str = "auto") -> Call:
    """A layer of the cell on an engine and a tier of kernels ("auto", "native", "numpy"), through the public API."""
    layer, xs = _ours(cell, what, engine)
    gradient = value_and_grad(
        lambda layer, xs: sum(anp.sum(leaf) for leaf in tree.leaves(layer(xs)[0])), argnums=(0, 1)
    )

    def call() -> Any:
        with tier(kernels):
            return gradient(layer, xs) if what.mode == "train" else layer(xs)

    return call


def our_values(cell: AnyCell, what: Pass) -> tuple[Values, dict[str, Array]]:
    """What minirnn gives, and the cell's arrays by name. TypeError: the cell's output is not one array."""
    layer, xs = _ours(cell, what, "auto")
    outputs = layer(xs)[0]
    if not isinstance(outputs, np.ndarray):
        raise TypeError(f"{type(layer.cell).__name__}: its output is {type(outputs).__name__}, one array was expected")
    summed = lambda cell, xs: anp.sum(Recurrent(cell)(xs)[0] * _weights_of_sum(outputs))
    d_weights, d_xs = value_and_grad(summed, argnums=(0, 1))(layer.cell, xs)[1]
    return Values(outputs, d_xs, d_weights), layer.cell.state_dict()


# ---------------------------------------------------------------- PyTorch
def _torch(twin: Any, cell: AnyCell, what: Pass) -> tuple[Any, Any, Callable[[Any], Any]]:
    """(module, xs, module's outputs of xs)."""
    torch: Any = import_module("torch")

    torch.set_num_threads(what.threads)
    made = built(cell, *what.size[2:], what.dtype)
    module = twin(made.input_size, made.hidden_size).to(getattr(torch, what.dtype))

    def run(xs: Any) -> Any:
        found = module(xs)
        return found[0] if isinstance(found, tuple) else found

    return module, torch.from_numpy(what.xs(made)), run


def torch_pass(twin: Any, cell: AnyCell, what: Pass) -> Call:
    """A pass through PyTorch's twin."""
    torch: Any = import_module("torch")

    module, xs, run = _torch(twin, cell, what)
    if what.mode == "forward":

        def forward() -> Any:
            with torch.no_grad():
                return run(xs)

        return forward
    xs.requires_grad_()

    def train() -> None:
        module.zero_grad(set_to_none=True)
        xs.grad = None
        run(xs).sum().backward()

    return train


def torch_values(twin: Any, cell: AnyCell, what: Pass, arrays: Mapping[str, Array]) -> Values | None:
    """What PyTorch's twin gives with the cell's weights; None where its parameters have other names or shapes."""
    torch: Any = import_module("torch")

    module, xs, run = _torch(twin, cell, what)
    named = {name.removesuffix("_l0"): parameter for name, parameter in module.named_parameters()}
    if {n: tuple(p.shape) for n, p in named.items()} != {n: np.shape(a) for n, a in arrays.items()}:
        return None
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(torch.from_numpy(arrays[name]))
    xs.requires_grad_()
    outputs = run(xs)
    (outputs * torch.from_numpy(_weights_of_sum(outputs.detach().numpy()))).sum().backward()

    def gradient(tensor: Any) -> Array:
        return np.zeros(tuple(tensor.shape), what.dtype) if tensor.grad is None else tensor.grad.numpy()

    return Values(outputs.detach().numpy(), gradient(xs), {name: gradient(p) for name, p in named.items()})


# ---------------------------------------------------------------- JAX
def _jax(twin: Any, cell: AnyCell, what: Pass, arrays: Mapping[str, Array] | None = None) -> tuple[Any, Any, Any]:
    """(what is trained by name, xs, outputs of both)."""
    jax: Any = import_module("jax")
    jnp: Any = import_module("jax.numpy")

    jax.config.update("jax_enable_x64", True)
    made = built(cell, *what.size[2:], what.dtype)
    given = {name: jnp.asarray(array) for name, array in (arrays or made.state_dict()).items()}
    state = jax.tree.map(jnp.asarray, made.initial_state(what.size[0], what.dtype))
    nesting = jax.tree.structure(state)

    def run(weights: Any, xs: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            new, output = twin({**given, **weights}, state, x)
            return jax.tree.unflatten(nesting, jax.tree.leaves(new)), output

        return jax.lax.scan(step, state, xs)[1]

    return {name: given[name] for name in made.parameters()}, jnp.asarray(what.xs(made)), run


def jax_pass(twin: Any, cell: AnyCell, what: Pass) -> Call:
    """A pass through JAX's twin: jit of lax.scan, and of its gradient."""
    jax: Any = import_module("jax")

    weights, xs, run = _jax(twin, cell, what)
    train = jax.grad(lambda weights, xs: run(weights, xs).sum(), argnums=(0, 1))
    compiled = jax.jit(train if what.mode == "train" else run)
    return lambda: jax.block_until_ready(compiled(weights, xs))


def jax_values(twin: Any, cell: AnyCell, what: Pass, arrays: Mapping[str, Array]) -> Values:
    """What JAX's twin gives with the cell's arrays."""
    jax: Any = import_module("jax")

    weights, xs, run = _jax(twin, cell, what, arrays)
    outputs = np.asarray(run(weights, xs))
    summed = lambda weights, xs: (run(weights, xs) * _weights_of_sum(outputs)).sum()
    d_weights, d_xs = jax.grad(summed, argnums=(0, 1))(weights, xs)
    return Values(outputs, np.asarray(d_xs), {name: np.asarray(d) for name, d in d_weights.items()})
