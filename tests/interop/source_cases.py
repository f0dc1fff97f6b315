"""What is shared by tests of files that are written for PyTorch and JAX."""

import sys
import types

import autograd.numpy as anp
import numpy as np
from own_cells import leaky_cell

import minirnn
from minirnn import tree
from minirnn.interop.source import source
from minirnn.layers import GRUCell, LSTMCell, RNNCell
from minirnn.layers import cells as zoo

TO = ("torch", "jax")
GOLDEN = {"lstm": "LSTM", "mgu": "MGU", "leaky": leaky_cell}
CLASSIC = {"RNN": RNNCell, "LSTM": LSTMCell, "GRU": GRUCell}
FIXED = ("ClockworkRNN",)  # its arrays follow its sizes in a way of their own
SIZES = (3, 8)
VECTOR_CELLS = [*CLASSIC, *(name for name in zoo.names() if name != "ConvLSTM")]
LENGTHS = (None, np.array([6, 2, 4]))


def written(what, to, sizes=None):
    """The module that a file makes, and its text."""
    text = source(what, to=to, sizes=sizes)
    module = types.ModuleType(f"written_{what if isinstance(what, str) else what.__name__}_{to}")
    sys.modules[module.__name__] = module
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    return module, text


def built(name):
    """A cell of any sizes, in float64, and the sizes that its file is for."""
    cls = CLASSIC.get(name) or zoo.get(name)
    fixed = SIZES if name in FIXED else None
    return cls(*(fixed or (5, 4)), rng=np.random.default_rng(0), dtype=np.float64), fixed


def example(cell, seed=1):
    """xs (T, B, I), a state as a list of arrays."""
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((6, 3, cell.input_size))
    return xs, tree.map(lambda a: rng.uniform(0.2, 0.8, a.shape), cell.initial_state(3))


def ours(cell, xs, state, lengths):
    """Outputs, final states, and the gradients by xs, states and parameters of a loss of all of them; as one dict."""
    layer = minirnn.Recurrent(cell)

    def loss(layer, xs, state):
        y, final = layer(xs, state, lengths=lengths)
        leaves = tree.leaves(final)
        return anp.sum(anp.sin(y)) + sum(anp.sum(anp.cos(a)) for a in leaves), (y, leaves)

    (_, (y, final)), (d_cell, d_xs, d_state) = minirnn.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
        layer, xs, state
    )
    found = {"y": y, "d_xs": d_xs}
    found |= {f"final {k}": a for k, a in enumerate(final)}
    found |= {f"d_state {k}": a for k, a in enumerate(tree.leaves(d_state))}
    return found | {name.removeprefix("cell.").replace(".", "_"): a for name, a in d_cell.items()}


def assert_same(found, expected, tolerance=1e-10):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = np.abs(found[name] - value).max() / max(1, np.abs(value).max())
        assert error < tolerance, f"{name}: off by {error:.1e}"
