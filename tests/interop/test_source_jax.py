"""Cells as files of JAX: what they compute is what minirnn computes, under jit and vmap too."""

import subprocess
import sys

import numpy as np
import pytest
from few import few
from own_cells import CrowdedCell, leaky_cell
from source_cases import LENGTHS, VECTOR_CELLS, assert_same, built, example, ours, written

from minirnn import tree

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'minirnn[peers]'")
jnp = jax.numpy


@pytest.fixture(autouse=True)
def float64():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)  # what is compiled runs once
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", before)


def theirs(file, cell, xs, state, lengths):
    """As `ours`, of the file."""
    values = {name.replace(".", "_"): np.array(value) for name, value in cell.state_dict().items()}
    parameters = file.Parameters(**{name: values[name] for name in file.Parameters._fields})
    first = tree.leaves(state)

    def loss(parameters, xs, *first):
        y, final = file.apply(parameters, xs, file.State(*first) if len(first) > 1 else first[0], lengths)
        final = list(final) if len(first) > 1 else [final]
        return jnp.sin(y).sum() + sum(jnp.cos(a).sum() for a in final), (y, final)

    grad = jax.jit(jax.grad(loss, tuple(range(2 + len(first))), has_aux=True))
    (d_parameters, d_xs, *d_state), (y, final) = grad(parameters, xs, *first)
    found = {"y": y, "d_xs": d_xs}
    found |= {f"final {k}": a for k, a in enumerate(final)} | {f"d_state {k}": a for k, a in enumerate(d_state)}
    return {name: np.asarray(a) for name, a in (found | d_parameters._asdict()).items()}


@pytest.mark.parametrize("name", few(VECTOR_CELLS, ("LSTM", "LMU")))
def test_a_file_computes_what_minirnn_computes(name):
    cell, fixed = built(name)
    file, _ = written(name, "jax", fixed)
    xs, state = example(cell)
    for lengths in LENGTHS if name == "LSTM" else LENGTHS[1:]:
        assert_same(theirs(file, cell, xs, state, lengths), ours(cell, xs, state, lengths))


def test_names_may_be_those_that_a_file_uses_itself():
    cell = CrowdedCell(3, 4, rng=np.random.default_rng(0), dtype=np.float64)
    file, _ = written(CrowdedCell, "jax")
    xs, state = example(cell)
    assert_same(theirs(file, cell, xs, state, LENGTHS[1]), ours(cell, xs, state, LENGTHS[1]))


@pytest.fixture(scope="module")
def file():
    return written(leaky_cell, "jax")[0]


@pytest.fixture
def parameters(file):
    return file.init(jax.random.key(0), 2, 3, jnp.float64)


def test_a_file_tests_itself_and_needs_no_minirnn(tmp_path):
    path = tmp_path / "leaky.py"
    path.write_text("import sys\nsys.modules['minirnn'] = None\n" + written(leaky_cell, "jax")[1])
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "from JAX's own gradient at most" in done.stdout


def test_what_stands_past_an_end_is_not_seen(file, parameters):
    xs = np.random.default_rng(0).standard_normal((4, 2, 2))
    cut = xs.copy()
    cut[2:, 1] = np.nan

    def loss(parameters, xs):
        y, final = file.apply(parameters, xs, lengths=[4, 2])
        return y.sum(), (y, final)

    grad = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    (d_parameters, d_xs), found = grad(parameters, cut)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(grad(parameters, xs)[1]), strict=True):
        assert np.array_equal(a, b)
    assert not found[0][2:, 1].any()
    assert all(np.isfinite(a).all() for a in (*d_parameters, d_xs))


def test_vmap_and_second_derivatives_go_through(file, parameters):
    every = np.random.default_rng(0).standard_normal((2, 3, 2, 2))

    def slope(how):
        loss = lambda parameters, xs: (file.run(how, parameters, xs)[0] ** 2).sum()
        first = lambda xs: sum((a**2).sum() for a in jax.grad(loss)(parameters, xs))
        return jax.jit(jax.vmap(jax.grad(first)))(every)

    np.testing.assert_allclose(slope(file.scan), slope(file.by_steps), rtol=1e-9)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_dtype_stays(file, dtype):
    parameters = file.init(jax.random.key(0), 2, 3, dtype)
    y, final = file.apply(parameters, jnp.ones((4, 2, 2), dtype), lengths=[4, 1])
    assert y.dtype == final.h.dtype == dtype
