"""What a SPEC.toml says."""

import pytest

from minirnn.sweep import Choices, Range, read_spec
from minirnn.sweep.spec import Pruning

GOOD = """
goal = "held_out_bits_per_char"
trials = 20
[train]
text = "shakespeare.txt"
steps = 100
[space]
cell = ["lstm", "MGU"]
lr = {low = 1e-3, high = 2e-2, log = true}
[pruning]
first = 2
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "spec.toml").write_text(text)
        return tmp_path / "spec.toml"

    return write


def test_a_spec_is_read(written, tmp_path):
    spec = read_spec(written(GOOD))
    assert spec.space == {"cell": Choices(("lstm", "MGU")), "lr": Range(1e-3, 2e-2, True)}
    assert spec.train == {"text": str(tmp_path / "shakespeare.txt"), "steps": 100}
    assert spec.pruning == Pruning(2, 3)
    assert (spec.trials, spec.minutes, spec.repeats, spec.sampler) == (20, None, 3, "tpe")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("trials = 20", "", "neither trials nor minutes"),
        ("trials = 20", "trials = 0", "trials=0 came, an integer from 1"),
        ("trials = 20", "trials = 20\nsampler = 'best'", "one of tpe, random"),
        ("trials = 20", "trails = 20", "'trails' came; the entries are"),
        ('"MGU"', '"MGUU"', "cell = 'MGUU' makes no training"),
        ("low = 1e-3", "low = 1", "a low below the high"),
        ("lr =", "learning_rate =", "makes no training"),
        ("steps = 100", "steps = 100\nbatch = 0", "batch=0 came"),
        ("first = 2", "first = 0", "pruning.first=0"),
        ("first = 2", "last = 2", "a table with first and keep"),
        ("[space]", "[space", "is no TOML"),
        ("held_out_bits_per_char", "accuracy", "goal='accuracy', maximize=false came with pruning"),
        ("trials = 20", "trials = 20\nmaximize = true", "(held_out_metric) was expected, or no [pruning]"),
    ],
)
def test_what_is_no_spec_is_named_before_anything_runs(written, before, after, says):
    assert before in GOOD
    with pytest.raises(ValueError, match=r"spec\.toml") as raised:
        read_spec(written(GOOD.replace(before, after, 1)))
    assert says in str(raised.value)
