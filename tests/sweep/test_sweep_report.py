"""What a sweep's tables and picture say."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from minirnn.sweep import Outcome, Result, Standing, Tried, plot_sweep
from minirnn.sweep.report import best_table, standing_table, write_csv

REASON = "ImportError: pip install 'minirnn[digits]' [/or] else"


def tried(number, state, score, ended, reason=""):
    return Tried(number, {"lr": 0.01}, state, score, reason, 0.0, ended, 1, Path(str(number)))


TRIALS = [
    tried(0, "finished", 2.5, 60.0),
    tried(1, "failed", None, 90.0, REASON),
    tried(2, "pruned", 3.5, 100.0),
    tried(3, "finished", 2.0, 120.0),
    tried(4, "finished", 2.25, 180.0),
    tried(5, "running", 2.75, None),
]
REPEATS = [Outcome("finished", 2.0, "", 1.0), Outcome("failed", None, "", 1.0), Outcome("finished", 2.125, "", 1.0)]


@pytest.fixture
def axes(tmp_path, monkeypatch):
    """Draws a result, and gives its two halves."""
    figures = pytest.importorskip(
        "matplotlib.figure", reason="matplotlib is not installed: pip install 'minirnn[plot]'"
    )
    drawn, save = [], figures.Figure.savefig
    monkeypatch.setattr(
        figures.Figure, "savefig", lambda self, *args, **kw: (drawn.append(self), save(self, *args, **kw))
    )

    def draw(result, **options):
        plot_sweep(result, tmp_path / "sweep.png", **options)
        assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
        return drawn[-1].axes

    return draw


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_the_picture_has_scores_over_minutes_the_best_so_far_and_the_best_one_again(axes):
    scores, shares = axes(Result(TRIALS, TRIALS[3], {"lr": 0.25, "cell": 0.75}, REPEATS), goal="held_out_loss")
    drawn = lines(scores)
    assert drawn["finished"] == ([1.0, 2.0, 3.0], [2.5, 2.0, 2.25])
    assert drawn["best so far"][1] == [2.5, 2.0, 2.0]
    assert drawn["pruned, its last score"][1] == [3.5]
    assert drawn["failed"][0] == [1.5, 1.5]
    assert drawn["the best again, 0.12 from lowest to highest"][1] == [2.0, 2.125]
    assert scores.get_ylabel() == "held out loss"
    assert [bar.get_width() for bar in shares.patches] == [0.25, 0.75]
    assert [label.get_text() for label in shares.get_yticklabels()] == ["lr", "cell"]


def test_of_what_is_to_be_high_the_best_so_far_rises(axes):
    scores, _ = axes(Result(TRIALS, TRIALS[0], {}, []), maximize=True)
    assert lines(scores)["best so far"][1] == [2.5, 2.5, 2.5]


def test_a_sweep_in_which_nothing_finished_is_drawn_too(axes):
    scores, shares = axes(Result([TRIALS[1]], None, {}, []))
    assert list(lines(scores)) == ["failed"]
    assert "too few" in shares.texts[0].get_text()


def test_the_file_has_a_row_for_each_trial(tmp_path):
    other = Tried(6, {"cell": "gru"}, "finished", 1.5, "", 30.12345, 61.98765, 2, Path("6"))
    write_csv(Result([*TRIALS, other], other, {}, []), tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == list("0123456")
    assert list(rows[6].values()) == ["6", "finished", "1.5", "30.123", "61.988", "2", "", "6", "", "gru"]
    assert list(rows[1].values()) == ["1", "failed", "", "0.0", "90.0", "1", REASON, "1", "0.01", ""]
    assert rows[5]["ended"] == ""


def printed(table):
    console = Console(file=io.StringIO(), width=150, markup=False)
    console.print(table)
    return console.file.getvalue()


def test_the_live_table_counts_states_and_names_the_best_so_far():
    said = printed(standing_table(Standing(TRIALS, 20, 200.0, TRIALS[3])))
    counts = "3 finished, 1 running, 1 pruned, 1 failed; best so far 2.0000, trial 3"
    assert said.splitlines()[0].strip() == f"6 of 20 trials in 200 s: {counts}"
    assert [line.split()[0] for line in said.splitlines()[2:]] == [
        "5",
        "4",
        "3",
        "2",
        "1",
        "0",
    ]  # what runs, the newest
    assert REASON in said


@pytest.mark.parametrize(("maximize", "order"), [(False, "340521"), (True, "043521")])
def test_the_last_table_has_the_best_first(maximize, order):
    said = printed(best_table(TRIALS, maximize=maximize))
    assert "".join(line.split()[0] for line in said.splitlines()[1:]) == order
