"""Each kernel against the reference loop: results, gradients and tangents over shapes, layouts, lengths and dtypes."""

import numpy as np
import pytest
from classic_cases import CELLS, both, draw_like, numbers, problem, problems, worst
from few import few
from hypothesis import HealthCheck, given, settings

import minirnn
from minirnn import tree

EVERY_CELL = pytest.mark.parametrize("kind", CELLS)


@pytest.mark.filterwarnings("ignore::minirnn.transform.UnreachedWarning")  # where all lengths are 0
class TestOverProblems:
    """Hypothesis draws the problems; a function-scoped tier is the same for all examples of a test."""

    ok = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

    @ok
    @given(problems())
    def test_float64_agrees_to_twelve_digits(self, on_tier, made):
        error, where = worst(*both(made))
        assert error < 1e-12, where

    @ok
    @given(problems(np.float32))
    def test_float32_agrees_to_a_few_ulp_a_step(self, on_tier, made):
        error, where = worst(*both(made))
        assert error < 4e-7 * (len(made.xs) + 4), where

    @ok
    @given(problems())
    def test_nothing_given_is_modified_and_a_second_run_is_the_same_to_the_bit(self, on_tier, made):
        before = [leaf.copy() for leaf in tree.leaves(made.primals())]
        first, second = numbers(made, "compiled"), numbers(made, "compiled")
        assert all(np.array_equal(a, b) for a, b in zip(tree.leaves(made.primals()), before, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(tree.leaves(first), tree.leaves(second), strict=True))


@EVERY_CELL
@pytest.mark.parametrize("sizes", few([(30, 17, 29, 100), (12, 5, 70, 33)], [(12, 5, 70, 33)]))
def test_sizes_beyond_a_tile_and_more_than_one_share(kind, sizes, on_tier):
    error, where = worst(*both(problem(kind, *sizes, lengths=np.arange(sizes[1]) + 3)))
    assert error < 1e-12, where


@EVERY_CELL
@pytest.mark.parametrize(("sign", "dtype"), [(-50.0, np.float32), (50.0, np.float64)])
def test_saturated_gates(kind, sign, dtype, on_tier):
    made = problem(kind, dtype=dtype)
    made.cell.bias_ih[:] = sign * np.where(np.arange(len(made.cell.bias_ih)) % 2, 1, -1)
    if kind == "relu":
        made.cell.weight_hh[:] *= 0.1
    ours, reference = both(made)
    assert worst(ours["results"], reference["results"])[0] < (1e-12 if dtype == np.float64 else 1e-5)
    for a, b in zip(tree.leaves(ours["gradients"]), tree.leaves(reference["gradients"]), strict=True):
        assert np.allclose(a, b, rtol=1e-4 if dtype == np.float32 else 1e-11, atol=1e-30)


@EVERY_CELL
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_comes_out_where_the_reference_has_it(kind, bad, on_tier):
    made = problem(kind, dtype=np.float32)
    made.xs[2, 1, 0] = bad
    with np.errstate(invalid="ignore"):
        ours, reference = (made.scan(engine)(*made.primals()) for engine in ("compiled", "python"))
    for a, b in zip(tree.leaves(ours), tree.leaves(reference), strict=True):
        assert np.array_equal(np.isnan(a), np.isnan(b))
        assert np.isfinite(a[..., [0, 2], :]).all()
    assert np.isnan(bad) <= np.isnan(ours[1][2:, 1]).all()


@EVERY_CELL
@pytest.mark.parametrize("asked", ["cell", "xs", "state", "one bias"])
def test_gradients_of_some_arguments_alone(kind, asked, on_tier):
    made = problem(kind)
    if asked == "one bias":
        made.cell.freeze("weight*")
        made.cell.freeze("bias_ih")
    grads = []
    for engine in ("compiled", "python"):
        run, given_ = made.scan(engine), list(made.primals())
        i = ["cell", "xs", "state"].index(asked if asked != "one bias" else "cell")

        def of_one(argument, run=run, given_=given_, i=i):
            return run(*given_[:i], argument, *given_[i + 1 :])

        results, pullback = minirnn.vjp(of_one, given_[i])
        grads.append(pullback(draw_like(results, np.random.default_rng(3))))
    assert worst(*grads)[0] < 1e-12


@EVERY_CELL
@pytest.mark.parametrize("part", ["outputs", "final"])
def test_a_cotangent_that_reaches_one_result_alone(kind, part, on_tier):
    made = problem(kind)
    losses = {
        "outputs": lambda final, outputs: minirnn.losses.mse(outputs, 0 * outputs),
        "final": lambda final, outputs: minirnn.losses.mse(tree.leaves(final)[-1], tree.leaves(made.state)[-1]),
    }

    def gradient(engine):
        return minirnn.grad(lambda *p: losses[part](*made.scan(engine)(*p)), argnums=(0, 1, 2))(*made.primals())

    assert worst(gradient("compiled"), gradient("python"))[0] < 1e-12


@EVERY_CELL
def test_checkpoints_of_a_longer_sequence(kind, on_tier):
    made = problem(kind, steps=50, every=7, lengths=np.array([50, 20, 3]), reverse=True)
    assert worst(*both(made))[0] < 1e-12
