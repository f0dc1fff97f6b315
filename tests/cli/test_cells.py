from typer.testing import CliRunner

from minirnn import cells
from minirnn.cli import app


def run(*words):
    done = CliRunner().invoke(app, ["cells", *words])
    assert "Traceback" not in done.output
    return done.exit_code, done.output


def test_every_cell_has_its_line():
    code, output = run("--input-size", "6", "--hidden-size", "12")
    assert code == 0
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert set(cells.names()) < set(lines)
    assert lines["MGU"].split()[1:4] == ["2016", "h", "12"]
    assert f"{2 * 12 * (6 + 12 + 1)}" in lines["MGU"]
    assert "single gate" in lines["MGU"]


def test_a_name_shows_paper_and_equations():
    code, output = run("mgu")
    assert code == 0
    assert "arXiv:1603.09420" in output
    assert "f = sigmoid(W_f x + U_f h + b_f)" in output


def test_a_wrong_name_or_size_is_one_line():
    for words, says in [
        (["mgux"], "no cell is called 'mgux'; there is MGU"),
        (["--hidden-size", "0"], "hidden_size=0"),
    ]:
        code, output = run(*words)
        assert code == 2
        assert says in output
        assert output.count("\n") == 1
