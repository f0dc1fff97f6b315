"""How the check before first use judges: by sums that are known, and problems of a number or two."""

import itertools

import numpy as np
import pytest

import minirnn
from minirnn.boxes import unboxed
from minirnn.call import Call
from minirnn.compile import engine, verify
from minirnn.compile.errors import CannotCompile
from minirnn.functional import linear, tanh

F4, F8 = np.float32, np.float64
NAN, INF = np.nan, np.inf


# ---------------------------------------------------------------- two arrays
@pytest.mark.parametrize(
    ("expected", "found", "error"),
    [
        ([1.0, -4.0], [1.0, -3.0], 0.25),  # of the largest, whatever its sign
        ([1.0, -4.0], [3.0, -4.0], 0.5),
        ([0.0], [1e-9], 1e-3),  # of a millionth, where all are smaller
        ([NAN, 2.0, INF], [7.0, 2.0, 7.0], 0.0),  # where the reference is no number nothing is asked
        ([NAN], [7.0], 0.0),
        ([2.0, 2.0], [NAN, 2.0], INF),
        ([2.0, 2.0], [2.0, -INF], INF),
        ([1.0, 2.0], [1.0], INF),
        ([], [], 0.0),
    ],
)
def test_an_error_is_in_units_of_the_largest_number(expected, found, error):
    assert verify._error(np.array(expected), np.array(found)) == pytest.approx(error)


@pytest.mark.parametrize(
    ("array", "largest"),
    [(np.array([1.0, -3.0]), 3.0), (np.array([NAN, INF, 2.0]), 2.0), (np.array([5]), 0.0), (np.ones((0, 2)), 0.0)],
)
def test_the_largest_number_is_a_finite_float(array, largest):
    assert verify._largest(array) == largest


def test_a_distance_is_the_largest_where_the_exact_number_is_finite():
    assert verify._distance(np.array([1.0, 5.0, 9.0]), np.array([1.5, 3.0, NAN])) == 2.0
    assert verify._distance(np.ones((0, 2)), np.ones((0, 2))) == 0.0


# ---------------------------------------------------------------- a draw
def draw(found, *, expected=None, exact=None, shaken=0.0, leaf=1.0, cotangent=1.0, dtype=F4, coarsest="float32"):
    """One result and one gradient, both `exact` by the reference in float64 and off by `shaken` in arguments that were
    moved; in the step's own dtype `expected`."""
    one = lambda value, kind=dtype: np.array([value], kind)
    exact = (1.0, 1.0) if exact is None else exact
    expected = exact if expected is None else expected

    def reference(leaves, cotangents):
        assert [one.dtype.kind for one in leaves] == ["f", "i"]
        off = 0.0 if leaves[0].dtype == F8 else shaken
        return [one(exact[0] + off, F8)], [one(exact[1] + off, F8)]

    return verify._Draw(
        ["result", "gradient"],
        [one(leaf), np.array([3])],
        reference,
        [one(cotangent)],
        list(map(one, expected)),
        list(map(one, found)),
        coarsest,
    )


def kept(given):
    return [name for name, _ in verify._beyond_rounding(given, verify._differences(given))]


def test_arrays_that_differ_by_more_than_the_tolerance_are_named_with_their_error():
    assert verify._differences(draw((1.0019, 1.0))) == []
    [(name, error)] = verify._differences(draw((1.0, 1.0021)))
    assert (name, round(error, 4)) == ("gradient", 0.0021)
    assert verify._differences(draw((1.0019, 1.0), dtype=F8, coarsest="float32")) == []
    assert [name for name, _ in verify._differences(draw((1.0019, 1.0), dtype=F8, coarsest="float64"))] == ["result"]
    assert verify._differences(draw((1.05, 1.0), dtype=F4, coarsest="float16")) == []


EPS = float(np.finfo(F4).eps)


@pytest.mark.parametrize(
    ("bound", "options"),
    [  # of the result, and of the gradient
        ((0.002, 0.002 + 100 * EPS), {}),  # the tolerance of what is exact, and roundings of arguments times cotangents
        ((0.002 * 3, 0.002 * 3 + 100 * EPS), {"exact": (3.0, -3.0)}),
        ((0.002, 0.002 + 100 * EPS * 500 * 20), {"leaf": -500.0, "cotangent": 20.0}),
        ((0.002, 0.002 + 100 * EPS * 20), {"leaf": 0.001, "cotangent": -20.0}),
        (
            (0.002 + 10 * 0.01, 0.002 + 10 * 0.02 + 100 * EPS),
            {"expected": (1.01, 0.98)},
        ),  # the reference's own
        ((0.002 + 10 * 0.01, 0.002 + 10 * 0.01 + 100 * EPS), {"shaken": 0.01}),  # and the one that a rounding makes
        ((0.002 + 10 * 0.04, 0.002 + 10 * 0.04 + 100 * EPS), {"shaken": 0.04, "expected": (1.01, 1.01)}),
    ],
)
def test_what_rounding_explains_is_let_pass_and_no_more(bound, options):
    exact = options.get("exact", (1.0, 1.0))
    for sign, inside in itertools.product((1, -1), (True, False)):
        off = [sign * (0.99 if inside else 1.01) * one for one in bound]
        for k, name in enumerate(("result", "gradient")):
            found = list(options.get("expected", exact))
            found[k] = exact[k] + off[k]
            assert kept(draw(found, **options)) == ([] if inside or not different(found, k, options) else [name])


def different(found, k, options):
    return bool(dict(verify._differences(draw(found, **options))).get(("result", "gradient")[k]))


@pytest.mark.parametrize("found", [NAN, INF])
def test_no_rounding_explains_what_is_no_number(found):
    assert kept(draw((found, 1.0), shaken=0.5)) == ["result"]


def test_no_rounding_explains_another_shape():
    given = draw((1.0, 1.0), shaken=0.5)
    assert kept(given._replace(found=[np.ones((1, 1), F4), given.found[1]])) == ["result"]


def test_where_the_reference_has_no_float64_the_tolerance_alone_counts():
    def reference(leaves, cotangents):
        raise TypeError("float32 alone")

    given = draw((1.01, 1.01), shaken=0.5)
    assert kept(given) == []
    assert kept(given._replace(reference=reference)) == ["result", "gradient"]


def test_arguments_are_shaken_four_times_by_a_rounding_and_integers_and_cotangents_not_at_all():
    seen = []

    def reference(leaves, cotangents):
        seen.append((leaves, cotangents))
        return [leaves[0]], [cotangents[0]]

    leaf, whole, cotangent = np.linspace(1.0, 2.0, 50, dtype=F4), np.arange(3), np.ones(50, F4)
    given = verify._Draw(["a", "b"], [leaf, whole], reference, [cotangent], [], [], "float32")
    assert len(verify._shaken(given)) == len(seen) == 4
    for (moved, same), cotangents in seen:
        assert 0 < np.abs(moved / leaf - 1).max() < 3.1 * EPS
        assert moved.dtype == F4
        assert same is whole
        assert cotangents[0] is cotangent
    assert len({moved.tobytes() for (moved, _), _ in seen}) == 4


# ---------------------------------------------------------------- several draws
SAME, BEYOND, WITHIN = (1.0, 1.0), (9.0, 1.0), (1.05, 1.0)  # WITHIN: beyond the tolerance, and rounding explains it


@pytest.mark.parametrize(
    ("near", "near_one", "asked", "fails"),
    [
        ([SAME], [], 1, False),
        ([BEYOND, SAME], [], 2, False),
        ([BEYOND, BEYOND, SAME], [], 3, False),
        ([BEYOND, BEYOND, BEYOND], [], 3, True),
        ([WITHIN], [SAME, SAME, SAME], 4, False),
        ([BEYOND, WITHIN], [WITHIN, WITHIN, SAME], 5, False),
        ([WITHIN], [WITHIN, WITHIN, WITHIN], 4, True),
        ([BEYOND, BEYOND, WITHIN], [BEYOND, BEYOND, BEYOND], 6, True),
    ],
)
def test_what_is_wrong_on_every_draw_is_an_error(near, near_one, asked, fails, monkeypatch):
    seen = []

    def drawn(program, cell, state, xs, seed, near_one_too=False, **how):
        last = how.get("near_one", near_one_too)
        seen.append((seed, last))
        return draw((near_one if last else near)[seed], shaken=0.01)

    monkeypatch.setattr(verify, "_drawn", drawn)
    program = type("Program", (), {"listing": lambda self: "the code"})()
    check = lambda: verify.verify(program, np.ones(1), np.ones(1), np.ones(1))
    if fails:
        with pytest.raises(
            verify.CompilerError, match=r"compiled ndarray wrongly(.|\n)*  result: .* relative(.|\n)*the code"
        ):
            check()
    else:
        check()
    assert len(seen) == asked
    assert [seed for seed, last in seen if not last] == list(range(len(near)))


# ---------------------------------------------------------------- what is drawn
@minirnn.cell(w=("hidden", "input"))
def plain(p, h, x):
    h = tanh(linear(x, p.w) + 0.5 * h)
    return h, h


@minirnn.cell(w=("hidden", "input"))
def meeting(p, h, x):
    h = tanh(linear(x, p.w) + 0.5 * h - minirnn.functional.softmax(h, axis=0))
    return h, h


@pytest.fixture
def given(monkeypatch):
    """given(cell, steps, batch): what the compiled code is tried on: leaves, lengths, cotangents and the draw."""

    def tried(make, steps, batch, size=1.0, **how):
        cell = make(2, 3, rng=np.random.default_rng(0), dtype=F8)
        xs = size * np.random.default_rng(1).standard_normal((steps, batch, 2))
        state = np.random.default_rng(2).standard_normal((batch, 3))
        program = engine.program_for(Call(cell, state, xs, None, False, None))
        seen, original = [], verify._compiled
        monkeypatch.setattr(verify, "_compiled", lambda *args: seen.append(args) or original(*args))
        made = verify._drawn(program, cell, state, xs, 0, **how)
        return xs, state, seen[0][4].tolist(), made

    return tried


@pytest.mark.parametrize(
    ("make", "steps", "batch", "shape", "lengths"),
    [
        (plain, 9, 5, (3, 2), [3, 2]),  # ragged, as calls may be
        (plain, 2, 5, (2, 2), [2, 2]),
        (plain, 1, 5, (1, 2), [1, 1]),
        (plain, 9, 1, (3, 1), [3]),
        (meeting, 9, 5, (3, 2), [3, 3]),  # rows that meet end together
    ],
)
def test_a_few_steps_and_rows_of_the_calls_own_numbers_are_tried(make, steps, batch, shape, lengths, given):
    xs, state, tried, made = given(make, steps, batch)
    assert tried == lengths
    x, h, _ = made.leaves
    assert x.shape[:2] == shape
    assert h.shape == (shape[1], 3)
    for moved, own in ((x, xs[: shape[0], : shape[1]]), (h, state[: shape[1]])):
        assert 0.01 < np.abs(moved - own).max() < 0.5
    assert made.names == ["output ", "state ", *(f"gradient of {name}" for name in names(made))]
    assert verify._differences(made) == []
    assert [one.shape for one in made.cotangents] == [one.shape for one in made.expected[:2]]
    assert min(np.abs(one).max() for one in made.cotangents) > 0.1


def names(made):
    return [name.removeprefix("gradient of ") for name in made.names[2:]]


def test_near_one_nothing_is_saturated(given):
    _, _, _, made = given(plain, 9, 5, 1e6, near_one=True)
    for leaf in made.leaves:
        size = leaf.shape[-1] ** 0.5
        assert leaf.min() * size >= 0.1
        assert leaf.max() * size <= 0.9
        assert len(np.unique(leaf)) == leaf.size


def test_a_step_that_fails_on_what_is_moved_is_tried_on_the_calls_own_numbers(monkeypatch):
    cell, state, xs = plain(2, 3, dtype=F8), np.zeros((2, 3)), np.ones((4, 2, 2))
    program = engine.program_for(Call(cell, state, xs, None, False, None))
    run = verify.reference.run

    def of_ones(cell, state, xs, *args):
        if np.any(unboxed(xs) != 1):
            raise ValueError("ones alone")
        return run(cell, state, xs, *args)

    monkeypatch.setattr(verify.reference, "run", of_ones)
    assert np.all(verify._drawn(program, cell, state, xs, 0).leaves[0] == 1)
    with pytest.raises(CannotCompile, match="ones alone"):
        verify._drawn(program, cell, state, 2 * xs, 0)
