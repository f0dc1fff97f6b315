"""Arrays of padded sequences: what is inside, and what backwards is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.layers.lengths import reversed_within
from minirnn.padding import only_inside

LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=4)


def test_backwards_within_each_sequence():
    xs = np.arange(8.0).reshape(4, 2, 1)
    assert reversed_within(xs, np.array([3, 1]))[..., 0].T.tolist() == [[4, 2, 0, 6], [1, 3, 5, 7]]
    assert reversed_within(xs, None)[..., 0].T.tolist() == [[6, 4, 2, 0], [7, 5, 3, 1]]


@given(LENGTHS, st.booleans())
def test_backwards_twice_is_the_same_and_so_is_its_derivative(lengths, padded):
    xs = np.random.default_rng(0).standard_normal((5, len(lengths), 2))
    turned = lambda xs: reversed_within(xs, np.array(lengths) if padded else None)
    assert np.array_equal(turned(turned(xs)), xs)
    out, pullback = minirnn.vjp(turned, xs)
    assert np.array_equal(pullback(out)[0], xs)
    assert np.array_equal(minirnn.jvp(turned, (xs,), (out,))[1], xs)


def test_past_the_end_there_are_zeros_and_no_gradient():
    xs, lengths = np.full((3, 2, 1), np.nan, np.float32), np.array([2, 0])
    xs[:2, 0] = 5
    inside = only_inside(xs, lengths)
    assert inside[..., 0].T.tolist() == [[5, 5, 0], [0, 0, 0]]
    assert inside.dtype == np.float32
    gradient = minirnn.grad(lambda xs: (only_inside(xs, lengths) ** 2).sum())(xs)
    assert gradient[..., 0].T.tolist() == [[10, 10, 0], [0, 0, 0]]
    assert only_inside(xs, None) is xs
