"""Where a gradient is checked."""

import numpy as np
import pytest

from minirnn.gradcheck.points import cotangents, points, scales

always = lambda values: True


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_points_respect_the_scale(scale):
    value = scale * np.random.default_rng(1).standard_normal(50)
    for point in points([value], rng(), always):
        assert 0.05 < np.median(np.abs(point.values[0])) / np.median(np.abs(value)) < 20


@pytest.mark.parametrize("value", [np.zeros(6), np.ones(6)])
def test_no_other_point_is_symmetric(value):
    for point in list(points([value], rng(), always))[1:]:
        assert len(np.unique(point.values[0])) == 6


def test_f_need_be_well_behaved_only_where_little_is_moved():
    found = list(points([np.linspace(0.1, 1, 40)], rng(), always))
    assert [p.near for p in found] == [True, True, True, False, False, False, False, False]
    assert [p.given for p in found] == [True] + 7 * [False]
    moved = [float(np.median(np.abs(p.values[0] - found[0].values[0]))) for p in found]
    assert moved[0] == 0 < moved[1] < 0.05 < min(moved[2:])


def test_every_coordinate_is_seen_with_both_signs():
    seen = np.array([np.sign(p.values[0]) for p in points([np.linspace(0.1, 1, 40)], rng(), always)])
    assert np.all(seen.min(0) == -1)
    assert np.all(seen.max(0) == 1)


def test_points_where_f_is_not_finite_are_replaced_or_left_out():
    value, other = np.full(8, 0.5), np.ones(3)
    found = list(points([value, other], rng(), lambda values: bool((values[0] > 0).all())))
    assert all((p.values[0] > 0).all() for p in found)
    assert any((p.values[1] < 0).any() for p in found)  # the other argument still changes its signs
    assert len(list(points([value], rng(), lambda values: False))) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_f_that_is_finite_nowhere_else_is_asked_four_times_of_each_kind_and_twice_for_each_argument(count):
    asked = []
    assert len(list(points([np.full(8, 0.5)] * count, rng(), lambda values: bool(asked.append(0))))) == 1
    assert len(asked) == 7 * (4 + 2 * count)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_points_keep_dtype_and_shape(dtype):
    for shape in ((), (0, 2), (2, 1)):
        for p in points([np.full(shape, 0.5, dtype)], rng(), always):
            assert (p.values[0].dtype, p.values[0].shape) == (dtype, shape)


def test_steps_are_scaled_by_each_coordinate_and_by_the_array():
    found = scales(np.array([0.0, 1e-8, 1.0, 100.0])) / scales(np.ones(1))
    assert found.tolist() == [1.0, 1e-3, 1.0, 100.0]


def test_cotangents_weigh_outputs_of_different_magnitude_alike():
    outputs = [np.full(100, 1e-6), np.full(100, 1e6)]
    g = cotangents(rng(), outputs)
    sizes = [np.abs(g[:100, 0]).mean() * 1e-6, np.abs(g[100:, 0]).mean() * 1e6]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.3)
    assert (g[:, 1] >= 0).all()
    assert 0.2 < (g[:, 1] == 0).mean() < 0.5
