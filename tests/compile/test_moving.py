"""Second derivatives where the step that moves state and tangent together has no program of its own."""

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import cell_of, problem

import minirnn
from minirnn import tree
from minirnn.compile import engine


def second(given, way, order):
    """Along one direction of everything: forward over reverse, or reverse over reverse."""
    leaves, rebuild = tree.flatten(tuple(given))
    rng = onp.random.default_rng(5)
    along = tuple(rng.standard_normal(leaf.shape) for leaf in leaves)

    def loss(*leaves):
        final, outputs = minirnn.scan(*rebuild(list(leaves)), engine=way)
        return sum(np.sum(np.sin(a)) for a in [*tree.leaves(outputs), *tree.leaves(final)])

    slope = minirnn.grad(loss, argnums=tuple(range(len(leaves))))
    if order == "forward over reverse":
        return minirnn.jvp(slope, tuple(leaves), along)[1]
    dot = lambda *leaves: sum(np.sum(a * b) for a, b in zip(slope(*leaves), along, strict=True))
    return minirnn.grad(dot, argnums=tuple(range(len(leaves))))(*leaves)


@pytest.mark.parametrize("order", ["forward over reverse", "reverse over reverse"])
@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize("name", ["MGU", "LSTM"])
def test_second_derivatives_are_right_with_a_program_of_the_moving_step_and_without(name, moving, order, monkeypatch):
    asked, original = [], engine._Found.moving
    monkeypatch.setattr(
        engine._Found, "moving", lambda self, call: asked.append(0) or (original(self, call) if moving else None)
    )
    given = problem(cell_of(name), 3, 2)
    found, expected = (second(given, way, order) for way in ("compiled", "python"))
    assert asked
    assert all(onp.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in zip(found, expected, strict=True))
