import numpy as np
import pytest

import minirnn
from minirnn import Recurrent
from minirnn.layers.cells.greff import CIFG, PARTS, GreffLSTM

sigmoid = lambda x: 1 / (1 + np.exp(-x))


def as_written(cell, xs):
    """The equations of Greff et al., each gate by itself, with the parts that are there."""
    without, size = cell.without, cell.hidden_size
    there = [
        g for g, name in zip("ifo", PARTS, strict=False) if name not in without and not (g == "f" and cell.coupled)
    ]
    block = lambda array, k: array[k * size : (k + 1) * size]
    h, c = np.zeros((2, xs.shape[1], size))
    before = dict.fromkeys(there, np.zeros_like(h))
    outputs = []
    for x in xs:
        a = lambda k, x=x, h=h: x @ block(cell.w, k).T + h @ block(cell.r, k).T + block(cell.b, k)

        def gate(name, c, a=a, before=before):
            if name not in there:
                return 1.0
            k = there.index(name)
            found = a(k + 1)
            if cell.p is not None:
                found = found + block(cell.p, k) * c
            if cell.r_gates is not None:
                found = found + sum(before[g] @ block(block(cell.r_gates, k).T, j) for j, g in enumerate(there))
            return sigmoid(found)

        z = a(0) if "input_activation" in without else np.tanh(a(0))
        i = gate("i", c)
        f = 1 - i if cell.coupled else gate("f", c)
        c = f * c + i * z
        o = gate("o", c)
        h = o * (c if "output_activation" in without else np.tanh(c))
        values = {"i": i, "f": f, "o": o}
        before = {g: values[g] for g in there}
        outputs.append(h)
    return np.stack(outputs)


VARIANTS = [
    {},
    *({"without": (part,)} for part in PARTS),
    {"coupled": True},
    {"full_gate_recurrence": True},
    {"full_gate_recurrence": True, "without": ("forget_gate", "peepholes")},
    {"full_gate_recurrence": True, "coupled": True},
    {"without": ("input_gate", "forget_gate", "output_gate")},
]
SOON = [
    {},
    {"coupled": True},
    {"full_gate_recurrence": True, "without": ("forget_gate", "peepholes")},
]  # and the rest in `make slow`


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_variant_is_its_equations(rng, options):
    cell = GreffLSTM(3, 2, rng=rng, dtype=np.float64, **options)
    xs = rng.standard_normal((5, 2, 3))
    np.testing.assert_allclose(Recurrent(cell)(xs)[0], as_written(cell, xs), rtol=1e-12)


@pytest.mark.parametrize(
    "options", [row if row in SOON else pytest.param(row, marks=pytest.mark.slow) for row in VARIANTS], ids=str
)
def test_the_gradient_of_every_variant_is_right(rng, options):
    cell = GreffLSTM(3, 2, rng=rng, dtype=np.float64, **options)
    xs, names = rng.standard_normal((5, 2, 3)), list(cell.parameters())
    loss = lambda *values: (Recurrent(cell.bind(dict(zip(names, values, strict=True))))(xs)[0] ** 2).sum()
    assert minirnn.gradcheck.gradcheck(loss, *cell.parameters().values()).ok


def test_without_peepholes_it_is_the_lstm(rng):
    ours, theirs = GreffLSTM(3, 4, without=("peepholes",), rng=rng), minirnn.LSTMCell(3, 4)
    order = lambda a: np.concatenate([a[4:8], a[8:12], a[:4], a[12:]])  # z, i, f, o -> i, f, g, o
    theirs.weight_ih, theirs.weight_hh, theirs.bias_ih = order(ours.w), order(ours.r), order(ours.b)
    theirs.bias_hh = np.zeros(16, np.float32)
    xs = rng.standard_normal((6, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(Recurrent(ours)(xs)[0], Recurrent(theirs)(xs)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("peepholes", [True, False])
def test_cifg_is_the_coupled_variant(rng, peepholes):
    without = () if peepholes else ("peepholes",)
    ours = CIFG(3, 4, peepholes=peepholes, rng=np.random.default_rng(5))
    theirs = GreffLSTM(3, 4, coupled=True, without=without, rng=np.random.default_rng(5))
    xs = rng.standard_normal((6, 2, 3)).astype(np.float32)
    assert np.array_equal(Recurrent(ours)(xs)[0], Recurrent(theirs)(xs)[0])
    assert ours.w.shape == (12, 3)
    assert (ours.p is None) != peepholes


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"without": ("forget",)}, "a tuple out of input_gate, forget_gate"),
        ({"without": "forget_gate"}, "a tuple out of"),
        ({"without": ("forget_gate",), "coupled": True}, "leave neither of them out"),
        ({"without": PARTS[:3], "full_gate_recurrence": True}, "no gate is left"),
    ],
)
def test_impossible_variants_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        GreffLSTM(3, 4, **options)
