"""What files for other frameworks say: names, lines, sizes, the parameters' start, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from own_cells import leaky_cell, mean_cell, sorting_cell
from source_cases import GOLDEN, TO

import minirnn
from minirnn.interop.source import source, write
from minirnn.interop.source.sizes import Unlike, argument_sizes, number, one_text, size
from minirnn.interop.source.start import Law, Recorder, law_of

FOLDER = Path(__file__).parents[1] / "golden" / "source"


@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_is_as_it_was(name, to):
    """Where a printer was changed on purpose: python tests/golden/make_source.py, and read what changed."""
    expected = (FOLDER / f"{name}_{to}.py").read_text()
    assert source(GOLDEN[name], to=to) == expected.replace("minirnn 0.1.0", f"minirnn {minirnn.__version__}")


@pytest.mark.parametrize("to", TO)
def test_lines_have_the_names_of_the_steps_variables(to):
    text = source(leaky_cell, to=to)
    for line in ("fast = 0.5 * fast_prev + 0.5 * ", "h_t = (1 - z_t) * h_prev + z_t * fast_t", "d_w = ", "d_h_t = "):
        assert line in text
    assert "decay=0.5" in text  # what the file was written with
    assert "h' = (1 - sigmoid(z)) * h + sigmoid(z) * fast'" in text


def test_what_leaves_the_loop_stands_before_and_behind_it():
    before, _, rest = source("LSTM", to="torch").partition("def ahead(")[2].partition("for x_a_t")
    assert "x @ weight_ih.T" in before
    loop, _, behind = rest.partition("for d_y_t")[2].partition("map(torch.stack")
    assert "weight_ih" not in loop
    assert "d_weight_ih = d_a.flatten(0, 1).T @ x.flatten(0, 1)" in behind


def test_a_cell_a_layer_and_a_class_give_the_same_file():
    cell = leaky_cell(3, 4)
    texts = [source(what, to="torch") for what in (leaky_cell, cell, minirnn.Recurrent(cell))]
    assert texts[0] == texts[1] == texts[2]
    assert "0.9 * fast_prev + " in source(leaky_cell(3, 4, decay=0.9), to="torch")


def test_a_file_for_some_sizes_alone_says_so():
    text = source(leaky_cell, to="torch", sizes=(2, 6))
    assert "For input_size=2 and hidden_size=6 alone." in text
    assert "torch.empty((12, 2), **made)" in text


def test_write_writes_the_source(tmp_path):
    write(leaky_cell, tmp_path / "file.py", to="torch")
    assert (tmp_path / "file.py").read_text() == source(leaky_cell, to="torch")


@pytest.mark.parametrize(
    ("what", "to", "error", "said"),
    [
        (leaky_cell, "tf", ValueError, "one of torch, jax"),
        (sorting_cell, "torch", ValueError, "sort"),
        (mean_cell, "torch", ValueError, "rows of the batch meet"),
        ("ClockworkRNN", "torch", ValueError, "--size I,H"),
        ("nothing", "torch", ValueError, "no cell is called"),
        (minirnn.Linear(2, 3), "torch", TypeError, "a Linear came"),
        (minirnn.LSTM(2, 3, num_layers=2), "torch", TypeError, "2 cells"),
    ],
)
def test_what_cannot_be_written_is_named(what, to, error, said):
    with pytest.raises(error, match=said):
        source(what, to=to)


# ---------------------------------------------------------------- sizes
AT = ({"I": 3, "H": 8}, {"I": 5, "H": 8}, {"I": 3, "H": 12}, {"I": 6, "H": 20})


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("4 * H", lambda i, h: size(4 * h)),
        ("I + H - 1", lambda i, h: size(i + h - 1)),
        ("H // 2", lambda i, h: size(h // 2)),
        ("(2 * I + H) // 2", lambda i, h: size((2 * i + h) // 2)),
        ("(1 / H)", lambda i, h: number(1 / h)),
        ("(-(H ** -0.5))", lambda i, h: number(-(h**-0.5))),
        ("7", lambda i, h: size(7)),
    ],
)
def test_a_size_is_found_from_some(text, of):
    assert one_text([of(at["I"], at["H"]) for at in AT], AT) == text


def test_numbers_that_follow_no_size_and_other_lines_are_refused():
    with pytest.raises(Unlike, match="follows the sizes in no way"):
        one_text([number(at["H"] ** 2) for at in AT], AT)
    with pytest.raises(Unlike, match="a line"):
        one_text(["a line", "a line", "another", "a line"], AT)


def test_a_function_finds_the_sizes_that_it_uses():
    text = one_text(
        [f"def f(w):\n    {argument_sizes({'w': (2 * at['H'], at['I'])})}\n    return {size(at['H'])}\n" for at in AT],
        AT,
    )
    assert text == "def f(w):\n    H = w.shape[0] // 2\n    return H\n"


# ---------------------------------------------------------------- the parameters' start
@pytest.mark.parametrize(
    ("initialiser", "law"),
    [
        (minirnn.init.zeros, Law("constant", (0.0,))),
        (minirnn.init.uniform(-0.2, 0.3), Law("uniform", (-0.2, 0.3))),
        (minirnn.init.normal(0.1), Law("normal", (0.1,))),
        (minirnn.init.orthogonal, Law("orthogonal", (1,))),
        (minirnn.init.identity, Law("identity", (1.0,))),
        (minirnn.init.per_gate(minirnn.init.orthogonal, 2), Law("blocks", (Law("orthogonal", (1,)),) * 2)),
        (lambda rng, shape, dtype: np.log(rng.uniform(1, 9, shape)), Law("log", (1, 9, 1))),
        (lambda rng, shape, dtype: rng.uniform(1, 9, shape) ** 2, None),
    ],
)
def test_the_start_of_a_parameter_is_found(initialiser, law):
    rng = Recorder(1)
    value, other = (initialiser(r, (8, 4), np.float64) for r in (rng, Recorder(2)))
    assert law_of(value, other, rng.draws) == law


def test_a_start_that_is_not_found_is_said():
    assert "# minirnn draws decay in a way of its own" in source("RGLRU", to="torch")
