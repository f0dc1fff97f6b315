import numpy as np
import pytest
from autograd import numpy as anp

import minirnn
from minirnn import LSTM, Buffer, Embedding, Linear, Module, Parameter, losses, optim, tree
from minirnn.layers import GRUCell, LSTMCell
from minirnn.unchanged import Watch

RNG = np.random.default_rng(0)


class Scaled(Module):
    """A frozen weight and a buffer beside what is trained."""

    def __init__(self):
        self.weight, self.fixed = Parameter(RNG.standard_normal((3, 3))), Parameter(RNG.standard_normal((3, 3)))
        self.scale = Buffer(RNG.standard_normal(3))
        self.freeze("fixed")

    def __call__(self, x):
        return anp.tanh(x @ self.weight) @ self.fixed * self.scale


X = RNG.standard_normal((4, 3))


def add_one(array):
    array += 1


def changes():
    """(what is written to, the pullback's function, its primals, the write)"""
    for engine in ("python", "compiled", "compiled"):
        for every in (None, 2):
            cell = (LSTMCell if every else GRUCell)(3, 4, dtype=np.float64, rng=RNG)
            xs, state = RNG.standard_normal((5, 2, 3)), cell.initial_state(2)

            def run(cell, xs, state, engine=engine, every=every):
                return minirnn.scan(cell, state, xs, engine=engine, checkpoint_every=every)[1]

            name = f"{engine}, every={every}"
            sgd, ones = optim.SGD(cell, 0.1), {k: np.ones_like(p) for k, p in cell.parameters().items()}
            yield f"{name}: a step", run, (cell, xs, state), lambda sgd=sgd, ones=ones: sgd.step(ones)
            yield f"{name}: input", run, (cell, xs, state), lambda xs=xs: np.negative(xs[-1], out=xs[-1])
            yield f"{name}: state", run, (cell, xs, state), lambda state=state: add_one(tree.leaves(state)[0])

            def closed(cell, run=run, xs=xs, state=state):
                return run(cell, xs, state)

            yield f"{name}: closure's input", closed, (cell,), lambda xs=xs: xs[:, ::2].sort(axis=0)
            yield f"{name}: closure's state", closed, (cell,), lambda state=state: add_one(tree.leaves(state)[0])
    model, other = Scaled(), Scaled()
    zeros = {name: np.zeros_like(value) for name, value in model.state_dict().items()}
    for name in zeros:
        yield f"assigned {name}", Scaled.__call__, (model, X), lambda name=name: setattr(model, name, zeros[name])
    yield "load_state_dict", Scaled.__call__, (other, X), lambda: other.load_state_dict(zeros)
    x = X.copy()
    yield "a view", anp.tanh, (x.T[1:],), lambda: add_one(x[:1])
    yield "order alone", lambda x: x * x, (x,), lambda: x.sort(axis=0)
    table, tokens = Embedding(5, 3, rng=RNG), np.array([[0, 1], [2, 2]])
    yield "tokens", lambda table: table(tokens), (table,), lambda: add_one(tokens)
    logits, targets = RNG.standard_normal((4, 3)), np.array([0, 1, 2, 0])
    yield "targets", lambda z: losses.cross_entropy(z, targets), (logits,), lambda: targets.fill(0)
    index = np.array([0, 2])
    yield "an index", lambda x: x[index, 1:], (x,), lambda: add_one(index[:1])
    yield "a list of indices", lambda x: x[[index, index]], (x,), lambda: add_one(index[:1])
    flags = np.array([True, False, True])
    yield "a condition", lambda x: anp.where(flags, x, 0.0), (x,), lambda: flags.fill(True)


@pytest.mark.parametrize(("what", "function", "primals", "write"), [pytest.param(*c, id=c[0]) for c in changes()])
def test_a_pullback_after_an_array_was_written_to_is_an_error(what, function, primals, write):
    result, pullback = minirnn.vjp(function, *primals)
    ones = tree.map(np.ones_like, result)
    pullback(ones)
    write()
    with pytest.raises(ValueError, match="was written to after vjp ran the function"):
        pullback(ones)


def test_an_array_that_was_put_back_is_no_error():
    x = X.copy()
    result, pullback = minirnn.vjp(anp.tanh, x)
    before = pullback(result)[0]
    x += 1
    x[...] = X
    assert np.array_equal(pullback(result)[0], before)


def test_the_error_names_the_parameters():
    model = Linear(3, 3, rng=RNG)
    result, pullback = minirnn.vjp(lambda model, x: anp.tanh(model(x)), model, X.astype(np.float32))
    model.bias += 1
    with pytest.raises(ValueError, match=r"pullback: bias was written"):
        pullback(result)


@pytest.mark.parametrize("function", [anp.tanh, lambda x: x, lambda x: (x.T, x * 2), lambda x: anp.reshape(x, 12)])
def test_writing_into_the_result_changes_neither_the_gradient_nor_the_argument(function):
    x = X.copy()
    result, pullback = minirnn.vjp(function, x)
    ones = tree.map(np.ones_like, result)
    before = pullback(ones)[0]
    for leaf in tree.leaves(result):
        leaf *= 3
    assert np.array_equal(pullback(ones)[0], before)
    assert np.array_equal(x, X)


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_writing_into_outputs_and_lengths_leaves_the_gradient_as_it_is(engine):
    layer, xs, lengths = LSTM(3, 4, engine=engine, rng=RNG), X[:, None, :].repeat(2, 1).astype("f"), np.array([4, 2])
    result, pullback = minirnn.vjp(lambda layer, xs: layer(xs, lengths=lengths), layer, xs)
    ones = tree.map(np.ones_like, result)
    before = pullback(ones)
    for leaf in tree.leaves(result):
        leaf.fill(3)
    lengths[:] = 1
    assert all(map(np.array_equal, tree.leaves(pullback(ones)), tree.leaves(before)))


def test_what_only_the_forward_pass_read_may_be_written_to():
    x, noise = X.copy(), np.ones((4, 3))
    result, pullback = minirnn.vjp(lambda x: anp.tanh(x * (noise + 1)), x)
    noise.fill(9)
    assert np.allclose(pullback(np.ones_like(result))[0], 2 / np.cosh(2 * X) ** 2)


def test_a_pullback_inside_a_gradient_is_watched_too():
    x = X.copy()

    def loss(x_):
        pullback = minirnn.vjp(anp.tanh, x_)[1]
        x.fill(1)
        return anp.sum(pullback(anp.ones((4, 3)))[0])

    with pytest.raises(ValueError, match="was written to"):
        minirnn.grad(loss)(x)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros((0, 2)),
        np.array(1.0),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(9.0)[::2],
        np.array(["a", "b"]),
        np.zeros(2, bool),
        np.zeros(2, "datetime64[s]"),
        np.zeros(3, np.float16),
    ],
)
def test_arrays_of_every_layout_and_kind_are_watched(array):
    array, watch = array[...], Watch()
    watch.note((array, [array]), "it")
    watch.check()
    if array.size:
        array[(0,) * array.ndim] = np.array(2, array.dtype) if array.dtype.kind != "U" else "z"
        with pytest.raises(ValueError, match="it was written to"):
            watch.check()


def test_an_array_that_is_gone_is_not_asked_about():
    watch = Watch()
    watch.note(np.ones(3), "gone")
    watch.check()
