"""What a training shows: files of figures, curves, and lines while it goes on."""

import csv
import io
import sys

import numpy as np
import pytest
from points import Batch, Point, squares
from rich.console import Console

import minirnn.train
from minirnn.optim import SGD
from minirnn.train import (
    DivergedError,
    EarlyStopping,
    MetricsLog,
    ProgressBar,
    TrainConfig,
    experiment_of,
    fit,
    plot_curves,
    read_metrics,
    terminal_curves,
)


def train(*callbacks, targets=(1.0,) * 6, **options):
    model = Point()
    return fit(model, squares, [Batch(t) for t in targets], SGD(model, lr=0.25), callbacks=callbacks, **options)


def validate(model):
    return {"distance": 1 - model.x[0], "two": 2.0}


# ---------------------------------------------------------------- metrics
def test_every_step_is_a_line_in_both_files(tmp_path):
    train(MetricsLog(tmp_path), validate=validate, val_every=4)
    records = read_metrics(tmp_path)
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5, 6]
    assert records[3]["distance"] == 0.0625
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items() if v} for row in rows] == records


def test_a_figure_that_is_not_finite_is_left_empty(tmp_path):
    train(MetricsLog(tmp_path), targets=(1.0, np.nan), on_nonfinite="skip")
    assert read_metrics(tmp_path)[1]["loss"] is None
    assert (tmp_path / "metrics.csv").read_text().splitlines()[2].startswith("2,0,,,0.25,1,")


def test_another_training_leaves_the_files_as_they_are(tmp_path):
    train(MetricsLog(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match=r"metrics\.jsonl holds an earlier training's figures"):
        train(MetricsLog(tmp_path), targets=(2.0,))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "line", [b"\xff{}\n", b"no json\n", b"[1]\n", b"{}\n", b'{"step": 1.5}\n', b"[" * 100_000 + b"\n", b'{"step": 3}']
)
def test_damaged_lines_and_what_follows_are_left_out(tmp_path, line):
    train(MetricsLog(tmp_path))
    path = tmp_path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + line + b"".join(lines[2:]))
    assert [record["step"] for record in read_metrics(tmp_path)] == [1, 2]
    path.write_bytes(b"".join(lines)[:-1])
    assert [record["step"] for record in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]


# ---------------------------------------------------------------- curves
RECORDS = [
    {"step": k, "loss": 1 / k, "lr": 0.1, "grad_norm": 1.0, **({"val_loss": 2 / k} if k % 100 == 0 else {})}
    for k in range(1, 1001)
]


def test_curves_are_drawn_as_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="pip install 'minirnn[plot]'")
    plot_curves(RECORDS, tmp_path / "curves.png", "a run")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_ends_is_drawn_in_its_folder(tmp_path):
    pytest.importorskip("matplotlib", reason="pip install 'minirnn[plot]'")
    config = TrainConfig(task="adding", task_options="length=4", steps=2, hidden=4, batch=2)
    minirnn.train.train(experiment_of(config), tmp_path / "run")
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_its_extra_the_picture_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minirnn\[plot\]'"):
        plot_curves(RECORDS, tmp_path / "curves.png")


def test_curves_are_drawn_with_characters():
    lines = terminal_curves(RECORDS, width=60, height=10).splitlines()
    assert len(lines) == 12
    assert all(len(line) <= 60 for line in lines)
    assert "•" in lines[0]
    assert "•" in lines[9]
    assert "x" in lines[9]
    assert "• loss   x val_loss" in lines[-1]
    assert lines[-1].endswith("step 1,000")


@pytest.mark.parametrize("records", [RECORDS[:1], [{"step": 1, "loss": 1.0}] * 2], ids=["one step", "a flat loss"])
def test_the_shortest_and_the_flattest_curves_are_drawn(records):
    assert "•" in terminal_curves(records)


@pytest.mark.parametrize("records", [[], [{"step": 1, "loss": None, "lr": 0.1, "grad_norm": None}]])
def test_no_finite_loss_is_an_error(records):
    with pytest.raises(ValueError, match="no steps to draw"):
        terminal_curves(records)


# ---------------------------------------------------------------- while it goes on
def shown(*, terminal=False, **options):
    out = io.StringIO()
    bar = ProgressBar(console=Console(file=out, force_terminal=terminal, width=120), tokens_per_step=8)
    train(bar, *options.pop("callbacks", ()), **options)
    return out.getvalue()


def test_without_a_terminal_there_are_plain_lines():
    lines = shown(validate=validate, val_every=3).splitlines()
    assert [line.split()[1] for line in lines] == ["1/6", "3/6", "6/6"]
    assert "distance 0.125  two 2.000" in lines[1]
    assert all("tokens/s" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_on_a_terminal_there_is_a_live_line():
    assert "step 6/6" in shown(terminal=True)


def test_a_stop_and_skipped_steps_are_said():
    said = shown(validate=lambda model: 1.0, val_every=1, callbacks=[EarlyStopping(1)])
    assert "stopped at step 2: val_loss has not fallen below 1 for 1 validations" in said
    assert "1 steps were skipped" in shown(targets=(1.0, np.nan), on_nonfinite="skip")
    with pytest.raises(DivergedError):
        shown(targets=(np.nan,))
