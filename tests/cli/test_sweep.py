"""minirnn sweep: what it prints and keeps, and one line for each bad input."""

import contextlib
import socket
import tomllib

import pytest
from commands import command, refused

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
pytest.importorskip("distributed", reason="dask is not installed: pip install 'minirnn[sweep]'")

from minirnn.cli.sweep import _with_absolute_text
from minirnn.sweep.spec import make_spec

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # Dask's own

SPEC = """
goal = "held_out_loss"
trials = 3
repeats = 2
[train]
task = "adding"
task_options = "length=5"
steps = 6
batch = 4
engine = "python"
[space]
cell = ["gru", "MGU"]
hidden = {low = 2, high = 4}
"""


@pytest.fixture
def written(tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path / "spec.toml"


@pytest.fixture
def dasks_port_taken():
    """As where another cluster runs: by us, or by whoever has it already."""
    with socket.socket() as taken:
        with contextlib.suppress(OSError):
            taken.bind(("", 8787))
            taken.listen()
        yield


@pytest.mark.slow
def test_a_sweep_prints_its_table_and_keeps_runs_csv_and_picture(written, tmp_path, dasks_port_taken):
    done = command("sweep", written, "--out", tmp_path / "sweep", "--workers", 1)
    assert done.exit_code == 0, done.output
    for words in ("3 trials: 3 finished, 0 pruned, 0 failed", "best held_out_loss", "the same to the bit", "1 other"):
        assert words in done.output
    for name in ("spec.toml", "results.csv", "trials/0002/model.safetensors", "repeats"):
        assert (tmp_path / "sweep" / name).exists()
    assert "already holds a sweep" in refused("sweep", written, "--out", tmp_path / "sweep")


@pytest.mark.parametrize(
    "train",
    ["[train]\n# text = 'b.txt'\ntext = 'a.txt' # mine", "train.text = 'a.txt'", 'train = {steps = 1, text = "a.txt"}'],
)
def test_the_spec_that_is_kept_finds_its_text_from_anywhere(train, tmp_path):
    spec = f"trials = 1\n{train}\n[space]\nlr = [0.1]\n"
    kept = _with_absolute_text(make_spec(tomllib.loads(spec), text=spec, beside=tmp_path))
    assert tomllib.loads(kept)["train"]["text"] == str(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give a SPEC.toml, or --resume FOLDER"),
        (["spec.toml", "--resume", "x"], "give a SPEC.toml, or --resume FOLDER"),
        (["missing.toml"], "No such file"),
        (["--resume", "nothing"], "nothing holds no sweep"),
        (["--resume", "nothing", "--out", "x"], "leave out --out"),
        (["spec.toml", "--scheduler", "tcp://h:1", "--workers", 2], "--workers is for processes of this machine"),
    ],
)
def test_a_bad_call_is_one_line(words, says, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in refused("sweep", *words)
