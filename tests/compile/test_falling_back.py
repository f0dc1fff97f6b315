"""Steps that run as they are and that a trace cannot follow: "auto" runs them on "python", with one warning."""

import io
import math

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn.functional import linear

scipy_special = pytest.importorskip("scipy.special")


def put_together(a, h):
    made = onp.zeros(a.shape)
    made[:, :2] = a[:, :2]
    made[:, 2] = h[:, 2]
    return made


def overwritten(a, h):
    made = a + h
    made[:, 0] = 0.0
    return made


def written_to(a, h):
    made = onp.empty(a.shape)
    onp.tanh(a, out=made)
    return made


def number_by_number(a, h):
    return onp.array([[math.tanh(v) for v in row] for row in a])


def with_a_limit(a, h):
    if float(np.max(np.abs(a))) > 1e6:
        raise ValueError("too large")
    return a


def of_a_fixed_batch(a, h):
    return a + onp.ones((2, 1))


BUILT = r"where, stack or concatenate of autograd\.numpy"
NUMBER = r"keep arrays .*minirnn\.stop_gradient"
PLAIN = r"import autograd\.numpy as np"
KINDS = {  # a step's middle, what the warning says, and what the error under a gradient says (None: there is none)
    "scipy's expit": (lambda a, h: scipy_special.expit(a), "SciPy", PLAIN),
    "scipy's erf": (lambda a, h: scipy_special.erf(a), "SciPy", PLAIN),
    "assigning into a new array": (put_together, BUILT, BUILT),
    "assigning into a computed array": (overwritten, BUILT, BUILT),
    "out=": (written_to, "out= stands in a call", "leave it out"),
    "number by number": (number_by_number, NUMBER, NUMBER),
    "math.tanh": (lambda a, h: a * math.tanh(a[0, 0]), NUMBER, NUMBER),
    "float()": (lambda a, h: a * float(a[0, 0]), NUMBER, NUMBER),
    "item()": (lambda a, h: a * a[0, 0].item(), NUMBER, NUMBER),
    "tolist()": (lambda a, h: onp.array(a.tolist()), NUMBER, NUMBER),
    "format": (lambda a, h: (f"{a[0, 0]:.2f}", a)[1], NUMBER, NUMBER),
    "a limit": (with_a_limit, NUMBER, NUMBER),
    "copy()": (lambda a, h: a.copy(), r"leave \.copy\(\) out", r"leave \.copy\(\) out"),
    "//": (lambda a, h: a // 0.1, r"np\.floor", r"np\.floor"),
    "plain where": (lambda a, h: onp.where(a > 0, a, h), BUILT, PLAIN),
    "plain concatenate": (lambda a, h: onp.concatenate([a[:, :1], h[:, 1:]], 1), PLAIN, PLAIN),
    "plain dot": (lambda a, h: onp.dot(a, onp.eye(3)), PLAIN, PLAIN),
    "plain clip": (lambda a, h: onp.clip(a, -0.1, 0.1), PLAIN, PLAIN),
    "linalg.inv": (lambda a, h: a @ np.linalg.inv(2 * np.eye(3) + a.T @ a), "calls inv", None),
    "fft": (lambda a, h: np.real(np.fft.fft(a)), "calls fft", None),
    "indexing by an array and a number": (lambda a, h: a + a[0, onp.array([2, 0, 1])], "array and a number", None),
    "indexing by a mask": (lambda a, h: a + np.sum(a[a > 0]), "indexing by arrays", None),
    "nan_to_num": (lambda a, h: np.nan_to_num(a), "calls nan_to_num", None),
    "a branch": (lambda a, h: a if np.sum(a) > 0 else -a, r"branches on the value", None),
    "a branch by any()": (lambda a, h: a if np.any(a > 5) else -a, "calls any", None),
    "a number made of the batch": (lambda a, h: a * len(a) ** 0.5, "leaves its trace", None),
    "rows from behind": (lambda a, h: a + np.mean(a[-2:], axis=0), "no multiple of them", None),
    "rows one by one": (lambda a, h: np.stack(list(a)), "another course", None),
    "complex numbers": (lambda a, h: np.abs(a * 1j), "complex", None),
    "a batch of two alone": (of_a_fixed_batch, r"other numbers.*broadcast", None),
}


def cell_with(middle):
    @minirnn.cell(w=("hidden", "input"))
    def odd(p, h, x):
        h = middle(linear(x, p.w), h)
        return h, h

    return odd(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64)


H, XS = onp.full((2, 3), 0.3), onp.random.default_rng(1).standard_normal((4, 2, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_on_python_with_one_warning_that_says_what_it_was(kind):
    middle, says, _ = KINDS[kind]
    cell = cell_with(middle)
    with pytest.warns(UserWarning, match=says) as told:
        found = minirnn.scan(cell, H, XS)
    assert len(told) == 1
    again = minirnn.scan(cell, H, XS)  # a second warning would be an error
    other_length = minirnn.scan(cell, H, XS[:2])[1]
    expected = minirnn.scan(cell, H, XS, engine="python")
    assert onp.array_equal(found[1], expected[1])
    assert onp.array_equal(again[0], expected[0])
    assert onp.array_equal(other_length, expected[1][:2])
    with pytest.raises(ValueError, match=says):
        minirnn.scan(cell, H, XS, engine="compiled")


@pytest.mark.filterwarnings("ignore:.*engine 'python'")
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("kind", KINDS)
def test_under_a_gradient_it_is_differentiated_or_says_what_to_write_instead(kind, engine):
    middle, _, says = KINDS[kind]
    loss = lambda cell: np.sum(minirnn.scan(cell, H, XS, engine=engine)[1] ** 2)
    cell = cell_with(middle)
    if says is not None:
        with pytest.raises((TypeError, ValueError), match=says) as caught:
            minirnn.grad(loss)(cell)
        if "returned an array of Python objects" not in str(caught.value):
            assert f"{__file__}:" in str(caught.value)  # the line, too
        return
    step = 1e-6
    moved = {name: 0 * value for name, value in cell.parameters().items()}
    moved["w"][1, 0] = step
    ends = [loss(cell.bind({"w": cell.w + sign * moved["w"]})) for sign in (1, -1)]
    assert onp.isclose(minirnn.grad(loss)(cell)["w"][1, 0], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-8)


def test_a_bare_step_is_told_the_same():
    with pytest.raises(ValueError, match=BUILT):
        minirnn.grad(lambda xs: np.sum(minirnn.scan(lambda h, x: (put_together(x, h), h), H, xs)[0]))(
            onp.ones((4, 2, 3))
        )


def test_an_error_of_the_steps_own_is_left_as_it_is():
    def fails(h, x):
        raise ValueError("my own")

    with pytest.raises(ValueError, match=r"^my own$"):
        minirnn.grad(lambda xs: np.sum(minirnn.scan(fails, H, xs)[0]))(onp.ones((4, 2, 3)))


def test_what_a_cell_holds_and_its_step_does_not_read_does_not_matter():
    class Logging(minirnn.RNNCell):
        def step(self, h, x):
            return super().step(0.5 * h, x)

    cell = Logging(2, 3, dtype=onp.float64)
    cell.log = io.StringIO()
    outputs = minirnn.scan(cell, H, XS)[1]  # a warning would be an error
    assert onp.allclose(outputs, minirnn.scan(cell, H, XS, engine="python")[1])
