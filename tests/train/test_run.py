"""Runs in folders: written, read, resumed, listed and scored."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from minirnn.data import Corpus, read_text
from minirnn.train import (
    Callback,
    Checkpoints,
    TrainConfig,
    evaluate,
    experiment_of,
    list_runs,
    load_run,
    read_metrics,
    resumed_experiment,
    train,
)
from minirnn.train.run import CHECKPOINTS, reserve_run

pytestmark = pytest.mark.usefixtures("no_pictures")

SMALL = {"hidden": 6, "embedding": 4, "batch": 4, "seq_length": 6, "save_every": 5}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("나는 학생이다. I am a student.\n" * 40, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    return train(experiment_of(TrainConfig(text=str(text), steps=20, **SMALL)), folder), folder


@pytest.fixture
def run(trained, tmp_path):
    """A run, and a copy of its folder."""
    found, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    return found


class Stop(Exception):
    pass


def stop_at(step):
    def callback(progress):
        if progress.step == step:
            raise Stop

    return callback


def unfinished(text, folder, step=13, **options):
    config = TrainConfig(text=str(text), **{"steps": 20, **SMALL, **options})
    with pytest.raises(Stop):
        train(experiment_of(config), folder, callbacks=[stop_at(step)])
    return folder


def same_weights(one, other):
    before = one.model.state_dict()
    return all(np.array_equal(value, before[name]) for name, value in other.model.state_dict().items())


def test_a_run_is_a_round_trip(run, tmp_path):
    again = load_run(tmp_path / "run")
    assert (again.tokenizer, again.config, again.figures) == (run.tokenizer, run.config, run.figures)
    assert same_weights(run, again)
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "run.json", "config.toml", "model.safetensors", "metrics.jsonl", "metrics.csv", "checkpoints"}  # fmt: skip
    assert [record["step"] for record in read_metrics(tmp_path / "run")] == list(range(1, 21))


def test_a_folder_that_holds_a_run_or_a_file_in_its_place_is_refused(run, tmp_path):
    with pytest.raises(FileExistsError, match=r"already holds a run .*--resume"):
        reserve_run(tmp_path / "run")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="a folder was expected"):
        reserve_run(tmp_path / "file")


def test_an_unfinished_run_gives_its_newest_weights_and_is_gone_on_with(text, run, tmp_path):
    folder = unfinished(text, tmp_path / "other")
    assert load_run(folder).figures == {"steps": 12}  # the best is newer than step 10
    resumed = train(resumed_experiment(folder), folder, resume=True)
    assert same_weights(run, resumed)
    held_out = [name for name in run.figures if "seconds" not in name]
    assert [resumed.figures[name] for name in held_out] == [run.figures[name] for name in held_out]
    with pytest.raises(ValueError, match="has finished; there is nothing to resume"):
        resumed_experiment(folder)


def test_a_run_without_a_checkpoint_has_no_weights_yet_but_can_be_resumed(text, run, tmp_path):
    folder = unfinished(text, tmp_path / "other", step=1)
    with pytest.raises(FileNotFoundError, match="no checkpoint yet"):
        load_run(folder)
    assert same_weights(run, train(resumed_experiment(folder), folder, resume=True))


def test_a_text_that_changed_or_went_is_noticed(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("abcdefgh" * 40)
    folder = unfinished(text, tmp_path / "run")
    text.write_text("abcdefgx" * 40)
    with pytest.raises(ValueError, match="the text has changed"):
        resumed_experiment(folder)
    text.unlink()
    with pytest.raises(FileNotFoundError):
        resumed_experiment(folder)


def test_the_average_is_what_a_run_keeps(text, tmp_path):
    config = TrainConfig(text=str(text), steps=20, average="ema", ema_decay=0.9, **SMALL)
    averaged = train(experiment_of(config), tmp_path / "run")
    state = Checkpoints(tmp_path / "run" / CHECKPOINTS).latest().state
    assert np.array_equal(averaged.model.parameters()["head.weight"], state["average"]["weights"]["head.weight"])
    assert not np.array_equal(averaged.model.parameters()["head.weight"], state["model"]["head.weight"])


@pytest.mark.parametrize("kept", [True, False], ids=["folder", "no folder"])
@pytest.mark.parametrize(
    ("metrics", "best"),
    [
        ([3, 1, 2, 2], 10),
        ([3, 1, np.nan, np.nan], 10),
        ([3, 1, np.inf, np.nan], 10),
        ([np.nan, 2, 1, np.nan], 15),
        ([3, np.nan, np.nan, 1], 20),
        ([np.nan, np.nan, np.nan, np.nan], 20),
        ([3, 2, 1, 1], 20),
    ],
)
def test_the_best_finite_validation_is_what_a_run_keeps(text, tmp_path, metrics, best, kept):
    """Whatever comes after it: a training that diverged has nan, which is no better than anything."""
    values, heads = iter(metrics), {}
    config = TrainConfig(text=str(text), steps=20, val_every=5, average="ema", ema_decay=0.5, **SMALL)
    experiment = dataclasses.replace(experiment_of(config), validate=lambda model: {"val_loss": next(values)})

    class Seen(Callback):
        def on_step(self, training, progress):
            heads[progress.step] = training.validated.parameters()["head.weight"].copy()

    run = train(experiment, tmp_path / "run" if kept else None, callbacks=[Seen()])
    assert run.figures["best_step"] == best
    assert np.array_equal(run.model.parameters()["head.weight"], heads[best])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hidden": 7}, "hidden was 6, is 7"),
        ({"lr": 0.5}, r"lr was 0\.004, is 0\.5"),
        ({"seed": 1}, "seed was 0, is 1"),
    ],
)
def test_another_run_than_the_folders_is_not_resumed_there(text, tmp_path, options, says):
    folder = unfinished(text, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    other = experiment_of(TrainConfig(text=str(text), **{"steps": 20, **SMALL, **options}))
    with pytest.raises(ValueError, match=f"the run there is another one: {says}; give what it was begun with"):
        train(other, folder, resume=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_same_text_kept_elsewhere_is_the_same_run_and_another_text_is_not(text, run, tmp_path):
    folder = unfinished(text, tmp_path / "other")
    moved = tmp_path / "moved.txt"
    moved.write_bytes(text.read_bytes()[:-1] + b"x")
    config = TrainConfig(text=str(moved), steps=20, **SMALL)
    with pytest.raises(ValueError, match="another one: sha256 was"):
        train(experiment_of(config), folder, resume=True)
    moved.write_bytes(text.read_bytes())
    assert same_weights(run, train(experiment_of(config), folder, resume=True))


def test_resume_needs_a_folder(text):
    with pytest.raises(ValueError, match="resume=True came without a folder"):
        train(experiment_of(TrainConfig(text=str(text), steps=2, **SMALL)), resume=True)


@pytest.mark.parametrize(
    ("file", "content", "error", "says"),
    [
        ("run.json", None, FileNotFoundError, r"holds no run: run\.json"),
        ("model.safetensors", None, FileNotFoundError, r"model\.safetensors is not there"),
        ("run.json", b"{", ValueError, "no JSON"),
        ("run.json", b"[" * 100_000, ValueError, "no JSON"),
        ("run.json", b"[]", ValueError, "format 'list' came"),
        ("run.json", b'{"format": 1}', ValueError, "format 1 came, 2 was expected"),
        ("run.json", b'{"format": 2, "config": {}}', ValueError, "data, figures, environment, finished, started"),
        ("run.json", {"config": {"cell": "x"}}, ValueError, "makes no model"),
        ("run.json", {"config": {"steps": 1, "hiden": 2}}, ValueError, "makes no model"),
        ("run.json", {"tokenizer": {"kind": "x"}}, ValueError, "makes no model"),
        ("run.json", {"tokenizer": None}, ValueError, "without a tokenizer"),
        ("model.safetensors", b"nothing", ValueError, "no safetensors file"),
    ],
)
def test_a_damaged_run_is_an_error_that_names_the_file(run, tmp_path, file, content, error, says):
    path = tmp_path / "run" / file
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_bytes()), **content}).encode()
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(error, match=says):
        load_run(tmp_path / "run")


def test_a_checkpoint_of_another_model_is_an_error(text, tmp_path):
    folder = unfinished(text, tmp_path / "run")
    other = unfinished(text, tmp_path / "other", hidden=7)
    for path in Checkpoints(folder / CHECKPOINTS).paths():
        path.write_bytes((other / CHECKPOINTS / path.name).read_bytes())
    with pytest.raises(ValueError, match="not of the model that"):
        load_run(folder)


def test_no_folder_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_run(tmp_path / "missing")


# ---------------------------------------------------------------- several runs
def test_runs_are_listed_with_their_best_and_what_is_wrong_with_them(run, text, tmp_path):
    unfinished(text, tmp_path / "deep" / "er", cell="gru", layers=2)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    bad, *good = list_runs(tmp_path)
    assert bad.problem.startswith(str(tmp_path / "bad"))
    by_name = {summary.folder.name: summary for summary in good}
    assert (by_name["run"].finished, by_name["run"].steps) == (True, 20)
    assert by_name["run"].what.startswith("lstm 6 on ")
    assert by_name["run"].best == min(r["val_loss"] for r in read_metrics(tmp_path / "run") if "val_loss" in r)
    assert (by_name["er"].finished, by_name["er"].steps, by_name["er"].what[:7]) == (False, 13, "gru 2x6")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list_runs(tmp_path / "missing")


def test_a_run_is_scored_on_what_it_held_out_or_on_a_text(run, text, tmp_path):
    own = evaluate(run)
    assert own.figures["bits_per_char"] == pytest.approx(run.figures["held_out_bits_per_char"], rel=1e-6)
    assert own.figures["accuracy"] == run.figures["accuracy"]
    whole = evaluate(run, read_text(text))
    assert whole.figures["tokens"] == len(text.read_text()) - 1
    assert evaluate(run, Corpus("ΩΩΩΩ", "greek", 1, 0)).figures["perplexity"] > whole.figures["perplexity"]


def test_a_tasks_run_is_scored_on_its_task(tmp_path):
    run = train(experiment_of(TrainConfig(task="reber", steps=3, hidden=4, batch=4)))
    assert evaluate(run).figures["held_out_loss"] == run.figures["held_out_loss"]
    with pytest.raises(ValueError, match="learned a task"):
        evaluate(run, Corpus("abc", "letters", 1, 0))
