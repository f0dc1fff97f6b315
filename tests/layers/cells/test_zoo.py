"""What every cell of the zoo owes. A new cell joins by being registered and named in minirnn.layers.cells.FILES."""

import ast
import inspect
import pickle
import re
import subprocess
import sys
import textwrap
from copy import deepcopy
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from few import CELLS, few
from padded_batches import assert_alone_is_the_same, assert_close, results, sequences

import minirnn
from minirnn import Recurrent, cells, scan, tree
from minirnn.derivations import METHODS, NotApplicable, Problem, compare, registered_cells
from minirnn.layers.cell import DeclaredCell
from minirnn.layers.cells.registry import card, register

REGISTERED = registered_cells()
each = pytest.mark.parametrize("name", cells.names())
each_few = pytest.mark.parametrize("name", few(cells.names()))
one_of_each_kind = pytest.mark.parametrize("name", [name for name in cells.names() if name in CELLS])
# What a class does for all cells that are declared with it: three of them are enough where nobody waits for all.
DECLARED = [name for name in cells.names() if cells.get(name).__bases__ == (DeclaredCell,)]
each_class = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in DECLARED[3:] else ()) for name in cells.names()]
)


def small(name, dtype=np.float64, seed=0):
    return cells.small(name, rng=np.random.default_rng(seed), dtype=dtype)


# ---------------------------------------------------------------- gradients
def slope(problem, direction, h):
    """The objective's slope along a direction, by a central difference: narrow, so that no kink lies within."""
    up, down = ({name: array + s * direction[name] for name, array in problem.arrays.items()} for s in (h, -h))
    return (problem.value(up) - problem.value(down)) / (2 * h)


@one_of_each_kind
def test_the_gradient_is_what_other_derivations_find(name):
    problem = Problem(small(name), 0, 3, 2)
    verdicts = [verdict(problem, method) for method in ("RTRL", "forward mode", "complex step")]
    assert verdicts[:2] == ["PASS", "PASS"]
    assert verdicts[2] in ("PASS", "n/a")
    rng = np.random.default_rng(1)
    direction = {what: rng.standard_normal(array.shape) for what, array in problem.arrays.items()}
    terms = [gradient * direction[what] for what, gradient in problem.reference.items()]
    size = sum(np.abs(term).sum() for term in terms)
    assert abs(slope(problem, direction, 1e-6) - sum(term.sum() for term in terms)) < 1e-7 * size
    assert all(gradient.any() for gradient in problem.reference.values())


def verdict(problem, method):
    try:
        return METHODS[method](problem).verdict
    except NotApplicable:
        return "n/a"


@pytest.mark.slow
@each
def test_every_derivation_of_the_gradient_agrees_coordinate_by_coordinate(name):
    comparison = compare(REGISTERED[name])  # what `minirnn check --all` does
    assert comparison.ok, str(comparison)
    assert comparison.findings["finite differences"].verdict == "PASS"


# ---------------------------------------------------------------- ragged batches
@each_few
def test_a_padded_batch_gives_each_sequence_what_it_gets_alone(name):
    assert_alone_is_the_same(Recurrent(small(name)), [4, 1, 3])


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(3))
@each
def test_random_padded_batches_give_each_sequence_what_it_gets_alone(name, seed, reverse):
    lengths = np.random.default_rng(seed).integers(1, 9, 5)
    assert_alone_is_the_same(Recurrent(small(name), reverse=reverse), lengths.tolist(), seed, padding=seed)


# ---------------------------------------------------------------- what a cell is
@each_few
def test_float32_stays_float32(name):
    layer = Recurrent(small(name, np.float32))
    xs, state = sequences(layer.cell, 3, 2)
    found = results(layer, xs, state, layer(xs, state))
    assert {leaf.dtype for leaf in tree.leaves(found)} == {np.dtype(np.float32)}
    assert all(np.isfinite(leaf).all() for leaf in tree.leaves(found))


@each
def test_the_default_state_is_the_initial_state_of_the_cell(name):
    layer = Recurrent(small(name))
    xs, _ = sequences(layer.cell, 2, 3)
    initial = layer.initial_state(3)
    assert all(leaf.shape[0] == 3 and leaf.dtype == np.float64 for leaf in tree.leaves(initial))
    assert_close(layer(xs), layer(xs, initial))
    assert tree.leaves(layer.initial_state(3, np.float32))[0].dtype == np.float32


@each_few
def test_a_sequence_in_two_pieces_is_the_sequence_in_one(name):
    cell = small(name)
    xs, state = sequences(cell, 4, 2)
    steps = cell.inputs(xs)
    middle, first = scan(cell, state, tree.map(lambda leaf: leaf[:2], steps))
    final, second = scan(cell, middle, tree.map(lambda leaf: leaf[2:], steps))
    joined = tree.map(lambda *pieces: np.concatenate(pieces), first, second)
    assert_close((final, joined), scan(cell, state, steps))


@each_class
def test_cells_and_states_copy_and_pickle(name):
    layer = Recurrent(small(name))
    xs, state = sequences(layer.cell, 2, 2)
    for copy in (deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(copy) == repr(layer)
        assert_close(copy(xs, pickle.loads(pickle.dumps(state))), layer(xs, state))


@each_class
def test_the_rng_alone_decides_the_parameters(name):
    first, again, other = (small(name, seed=seed).parameters() for seed in (1, 1, 2))
    assert_close(first, again)
    assert any(not np.array_equal(value, other[what]) for what, value in first.items())


@each_class
def test_the_repr_tells_name_and_sizes(name):
    cell = small(name)
    assert repr(cell).startswith(f"{name}({cell.input_size}, {cell.hidden_size}")
    assert f"{cell.num_parameters():,} parameters" in repr(cell)


# ---------------------------------------------------------------- what its file says
@each
def test_the_documentation_names_the_paper_and_every_parameter(name):
    cls, cell = cells.get(name), small(name)
    text = inspect.getdoc(cls)
    assert f"{card(cls).year}" in text
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/|pages \d+-\d+|https://", text)
    assert "(B, " in text
    options = getattr(cls, "_options", {})
    names = {what.split(".")[0] for what in [*cell.parameters(), *options]}
    assert not [what for what in names if not re.search(rf"\b{what}\b", text)]
    assert 10 < len(card(cls).use) < 90


def maths(cls):
    """How many lines a cell's step has, its docstring left out."""
    step = cls.__dict__.get("_function", cls.step)
    function = ast.parse(textwrap.dedent(inspect.getsource(getattr(step, "__func__", step)))).body[0]
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return sum(statement.end_lineno - statement.lineno + 1 for statement in body)


def test_steps_are_short():
    lines = {name: maths(cells.get(name)) for name in cells.names()}
    assert median(lines.values()) <= 12
    assert max(lines.values()) <= 30, lines


# ---------------------------------------------------------------- the table
def test_the_table_names_what_each_file_registers():
    folder = Path(cells.__file__).parent
    written = {path.stem: re.findall(r"^@register\(", path.read_text(), re.M) for path in folder.glob("*.py")}
    assert {file: len(found) for file, found in written.items() if found} == {
        file: len(names.split()) for file, names in cells.FILES.items()
    }
    assert all(cells.get(name).__name__ == name for name in cells.names())


def test_cells_are_found_by_attribute_and_by_name_in_any_case():
    assert cells.MGU is cells.get("mgu") is cells.get("MGU")
    assert {"MGU", "make", *cells.names()} <= set(dir(cells))
    made = cells.make("scrn", 5, 7, alpha=0.5)
    assert (made.input_size, made.hidden_size, made.alpha, made.dtype) == (5, 7, 0.5, np.float32)


def test_a_name_that_no_cell_has_is_an_error_that_offers_the_nearest():
    with pytest.raises(ValueError, match=r"no cell is called 'mgru'; there is .*MGU"):
        cells.make("mgru", 2, 3)
    with pytest.raises(AttributeError, match="mgru"):
        _ = cells.mgru


def test_importing_minirnn_loads_no_cell():
    program = "import sys, minirnn; print(*[name for name in sys.modules if name.startswith('minirnn.layers.cells.')])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == ["minirnn.layers.cells.registry"]


def test_only_cells_are_registered_and_have_a_card():
    with pytest.raises(TypeError, match="a Cell class was expected"):
        register(year=2000, use="nothing")(lambda p, h, x: (h, h))
    with pytest.raises(ValueError, match="GRUCell is not registered"):
        card(minirnn.GRUCell)


def test_a_description_counts_states_and_parameters():
    name, year, state, parameters, use = cells.describe("tlstm", 5, 7)
    assert (name, year, state) == ("TLSTM", 2016, "c 7, x 5")
    assert parameters == 2 * 21 * 5 + 21
    assert "LSTM" in use
