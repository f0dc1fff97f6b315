from commands import command, refused

CELL = """import autograd.numpy as np
import minirnn


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
def mine(p, h, x):
    h = np.tanh(x @ p.w.T + h @ p.u.T)
    return h, h
"""


def test_a_cell_of_a_file_and_of_the_zoo_are_written(tmp_path):
    (tmp_path / "mine.py").write_text(CELL)
    done = command("export", f"{tmp_path / 'mine.py'}:mine", tmp_path / "out.py", "--to", "torch")
    assert done.exit_code == 0, done.output
    assert "class mine(torch.nn.Module):" in (tmp_path / "out.py").read_text()
    assert command("export", "rnn", tmp_path / "rnn.py", "--to", "torch", "--size", "2,3").exit_code == 0
    assert "input_size=2 and hidden_size=3 alone" in (tmp_path / "rnn.py").read_text()


def test_what_cannot_be_written_is_one_line(tmp_path):
    out = tmp_path / "out.py"
    assert "one of torch, jax" in refused("export", "LSTM", out, "--to", "tf")
    assert "no cell is called" in refused("export", "nothing", out, "--to", "torch")
    assert "two positive numbers" in refused("export", "LSTM", out, "--to", "torch", "--size", "2")
    assert "without --to" in refused("export", "file.py:name", out)
    assert "without --to" in refused("export", tmp_path, out, "--size", "2,3")
    assert not out.exists()
