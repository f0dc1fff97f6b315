"""Clipping leaves what came as it was, loses no structure, and survives every finite entry."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minirnn import tree
from minirnn.optim import clip_by_global_norm, clip_by_value, global_norm


class Pair(NamedTuple):
    h: np.ndarray
    c: np.ndarray


def arrays(largest):
    return st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=0, min_side=0, max_dims=2, max_side=3),
            elements=st.floats(-largest, largest, width=32),
        )
    )


def nestings(largest=2.0**100):
    return st.recursive(
        arrays(largest),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.builds(Pair, inner, inner),
            st.none(),
        ),
        max_leaves=5,
    )


limits = st.floats(1e-3, 1e3)


def exactly(nesting):
    return [(path, type(g), g.dtype, g.shape, g.tobytes()) for path, g in tree.named_leaves(nesting)]


def flat(nesting):
    return np.concatenate([np.zeros(0), *[np.ravel(g).astype(np.longdouble) for g in tree.leaves(nesting)]])


@given(nestings(), limits)
def test_by_value_is_the_cut_of_every_entry(grads, limit):
    before = exactly(grads)
    clipped = clip_by_value(grads, limit)
    assert exactly(grads) == before
    assert exactly(clipped) == exactly(tree.map(lambda g: np.asarray(np.clip(g, -limit, limit), g.dtype), grads))
    assert exactly(clip_by_value(clipped, limit)) == exactly(clipped)


@given(nestings(), limits)
def test_by_global_norm_shortens_and_keeps_the_direction(grads, limit):
    before = exactly(grads)
    clipped, norm = clip_by_global_norm(grads, limit)
    assert exactly(grads) == before
    assert [entry[:4] for entry in exactly(clipped)] == [entry[:4] for entry in before]
    length = np.sqrt(np.sum(flat(grads) ** 2))
    assert math.isclose(norm, length, rel_tol=1e-6)
    assert norm == global_norm(grads)
    expected = flat(grads) * min(1.0, limit / norm if norm else 1.0)
    assert np.all(np.abs(flat(clipped) - expected) <= 1e-6 * np.abs(expected) + 1e-44)


@given(nestings(largest=2.0**20))
def test_what_needs_no_clipping_is_returned_itself(grads):
    norm = global_norm(grads)
    assert clip_by_global_norm(grads, norm + 1.0)[0] is grads
    clipped = clip_by_value(grads, 2.0**20)
    assert all(new is old for new, old in zip(tree.leaves(clipped), tree.leaves(grads), strict=True))


@pytest.mark.parametrize("scale", [1.0, -1.0, 2.0**-5, -(2.0**-5)])
def test_what_is_exactly_at_the_limit_is_returned_itself(scale):
    grads, size = {"a": scale * np.array([3.0, 2.0]), "b": scale * np.array([6.0])}, abs(scale)
    assert clip_by_global_norm(grads, 7.0 * size) == (grads, 7.0 * size)
    assert clip_by_global_norm(grads, 7.0 * size)[0] is grads
    assert clip_by_value(grads, 6.0 * size)["b"] is grads["b"]
    assert clip_by_value(grads, 3.0 * size)["a"] is grads["a"]


@pytest.mark.usefixtures("on_tier")
@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-21, 1e-18, 1e30, 3e38])  # 1e-21 squared has few digits left
@pytest.mark.parametrize("count", [1, 100])
def test_the_norm_of_very_small_and_very_large_float32_is_right(size, count):
    g = np.full(count, size, np.float32)
    expected = float(g[0]) * count**0.5
    assert math.isclose(global_norm([g, np.zeros(3)]), expected, rel_tol=1e-6)
    clipped, _ = clip_by_global_norm([g], expected * 1e-3)
    assert np.allclose(clipped[0], g * np.float32(1e-3), rtol=1e-5, atol=1e-44)


def test_a_factor_below_the_smallest_float32_keeps_its_digits():
    clipped, _ = clip_by_global_norm([np.full(4, 3e38, np.float32)], 1e-8)
    assert np.allclose(clipped[0], 5e-9, rtol=1e-6, atol=0)


@pytest.mark.usefixtures("on_tier")
@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_the_norm_of_very_small_and_very_large_float64_is_right(size):
    assert math.isclose(global_norm({"a": np.full((2, 2), size), "b": np.zeros((), np.float32)}), 2 * size)


@pytest.mark.parametrize("entry", [0.1, 300.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_is_kept_and_the_norm_is_no_coarser_than_float32(dtype, entry):
    g = np.full(100_000, entry, dtype)
    clipped, norm = clip_by_global_norm([g], 1.0)
    assert math.isclose(norm, float(g[0]) * 100_000**0.5, rel_tol=1e-5)
    assert {clipped[0].dtype, clip_by_value([g], 0.05)[0].dtype} == {np.dtype(dtype)}


@pytest.mark.parametrize("max_norm", [0.7, 100.0])
def test_by_global_norm_against_torch(max_norm, torch, rng):
    grads = {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal(5)}
    tensors = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads.values()]
    for tensor, g in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.from_numpy(g.copy())
    theirs = torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    clipped, norm = clip_by_global_norm(grads, max_norm)
    assert math.isclose(norm, float(theirs), rel_tol=1e-14)
    for tensor, g in zip(tensors, clipped.values(), strict=True):
        assert np.allclose(g, tensor.grad.numpy(), rtol=1e-6)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_are_left_to_the_optimiser(bad):
    grads = {"a": np.array([bad, 9.0]), "b": np.full(2, 9.0)}
    clipped, norm = clip_by_global_norm(grads, 1.0)
    assert clipped is grads
    assert not math.isfinite(norm)
    clipped = clip_by_value(grads, 5)
    assert clipped["a"] is grads["a"]
    assert clipped["b"].tolist() == [5, 5]


@pytest.mark.parametrize("nothing", [[], {}, None, [np.zeros((0, 3))], [np.zeros(3)]])
def test_nothing_has_the_norm_zero(nothing):
    assert clip_by_global_norm(nothing, 1.0) == (nothing, 0.0)


@pytest.mark.parametrize("clip", [clip_by_value, clip_by_global_norm])
@pytest.mark.parametrize("limit", [0, -1, np.nan, "5", None])
def test_a_limit_that_is_not_positive_is_refused(clip, limit):
    with pytest.raises(ValueError, match=r"(limit|max_norm)=.* came, a positive number"):
        clip([np.ones(2)], limit)


@pytest.mark.parametrize("use", [lambda g: clip_by_value(g, 1), lambda g: clip_by_global_norm(g, 1), global_norm])
@pytest.mark.parametrize(
    ("leaf", "says"), [(3.0, "a.0 is a float,"), ("x", "a.0 is a str"), (np.arange(3), "a.0 is a int64 array")]
)
def test_what_is_no_float_array_is_named(use, leaf, says):
    with pytest.raises(TypeError, match=f"{says}"):
        use({"a": [leaf]})
