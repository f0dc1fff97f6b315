import dataclasses

import pytest

from minirnn.train import TrainConfig, config_text, experiment_of, make_config, preset, preset_names, read_config
from minirnn.train.config import SCHEDULES, WITHOUT_FINAL, options


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cell": "lstn", "steps": 1}, "cell='lstn' came, one of lstm, gru, rnn"),
        ({"hidden": 0, "steps": 1}, "hidden=0 came, a positive integer"),
        ({"hidden": 2.5, "steps": 1}, "hidden=2.5"),
        ({"lr": float("nan"), "steps": 1}, "lr=nan came, a positive number"),
        ({"steps": True}, "steps=True"),
        ({"seed": -1, "steps": 1}, "seed=-1"),
        ({"dropout": 1.0, "steps": 1}, r"dropout=1\.0 came, a number in \[0, 1\)"),
        ({"tie_weights": 1, "steps": 1}, "tie_weights=1 came, true or false"),
        ({"schedule": "sine", "steps": 1}, "schedule='sine' came, one of constant"),
        ({}, "exactly one of them"),
        ({"steps": 1, "minutes": 1.0}, "exactly one of them"),
        ({"steps": 1, "text": "a", "task": "copy"}, "give one of them"),
        ({"steps": 1, "tie_weights": True, "embedding": 3}, "tie_weights needs embedding=128"),
        ({"steps": 1, "chrono": 1}, "chrono=1 came, an integer from 2"),
        ({"steps": 1, "chrono": 9, "cell": "rnn"}, "chrono=9 came with cell='rnn'; it is for lstm and gru"),
        ({"steps": 1, "schedule": "exponential", "final_lr": 0}, "never gets there"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        TrainConfig(**given)


IDLE = [
    ({"ema_decay": 0.9}, "ema_decay=0.9 came with average='none'"),
    ({"ema_decay": 0.9, "average": "ntasgd"}, "average='ntasgd'"),
    *[({"final_lr": 0.1, "schedule": name}, f"final_lr=0.1 came with .*'{name}'") for name in WITHOUT_FINAL],
    ({"task_options": "length=3"}, "task_options='length=3' came with no task"),
    ({"task": "adding", "tokenizer": "byte"}, "tokenizer='byte' came with task='adding'"),
    ({"task": "adding", "vocabulary": 9}, "vocabulary=9 came"),
    ({"task": "adding", "embedding": 9}, "embedding=9 came"),
    ({"task": "adding", "tie_weights": True}, "tie_weights=True came"),
    ({"task": "adding", "seq_length": 9}, "seq_length=9 came"),
]


@pytest.mark.parametrize(("given", "says"), IDLE)
def test_an_option_that_would_do_nothing_is_refused_where_a_training_begins(given, says):
    with pytest.raises(ValueError, match=f"{says}.*does nothing; leave it out"):
        experiment_of(make_config({"steps": 1}, given))
    if "task" not in given and "schedule" not in given:
        return
    beside = {name: value for name, value in given.items() if name in ("task", "schedule")}
    config = make_config({"steps": 1}, {k: v for k, v in given.items() if k not in beside}, beside)
    assert config == TrainConfig(steps=1, **beside)  # what an earlier layer set, a preset, gives way


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_rises_over_the_warm_up_and_stays_within_its_bounds(schedule):
    config = TrainConfig(steps=50, schedule=schedule, warmup=10, lr=1.0)
    lr = config.schedule_of(50)
    rates = [lr(step) for step in range(50)]
    assert rates[0] == pytest.approx(rates[10] / 10)
    assert max(rates) == pytest.approx(1.0)
    assert all(0 < rate <= 1 + 1e-9 for rate in rates)
    if schedule in ("linear", "cosine", "exponential"):  # which are over with the steps, warmed up or not
        assert lr(49) > lr(50) == pytest.approx(config.final_lr)


def test_every_option_is_read_from_a_file_and_written_to_one(tmp_path):
    values = {"text": 'a "b"\\c 한글', "steps": 7, "tie_weights": True, "embedding": 128, "clip_value": 5.0, "lr": 1e-7}
    config = TrainConfig(**values, patience=3, val_every=2, task_options="x=1", average="ema", chrono=50)
    (tmp_path / "c.toml").write_text(config_text(config), encoding="utf-8")
    read = read_config(tmp_path / "c.toml")
    assert TrainConfig(**read) == config
    assert set(read) == {option.name for option in options()} - {"minutes", "task", "vocabulary"}


@pytest.mark.parametrize(
    ("text", "says"),
    [("hiden = 3", "sets 'hiden'; the options are text"), ("a = ", "is no TOML"), ("[model]\nhidden = 3", "'model'")],
)
def test_a_bad_file_is_an_error_that_names_it(tmp_path, text, says):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ValueError, match=says) as error:
        read_config(tmp_path / "c.toml")
    assert "c.toml" in str(error.value)


def test_later_options_go_before_earlier_ones_and_steps_replace_minutes():
    config = make_config({"minutes": 3.0, "hidden": 5, "text": "t"}, {"steps": 4}, {"hidden": 6, "task": "copy"})
    assert (config.minutes, config.steps, config.hidden, config.text, config.task) == (None, 4, 6, None, "copy")
    assert make_config({}).minutes == 2


def test_every_preset_is_a_config():
    assert "tinyshakespeare" in preset_names()
    for name in preset_names():
        assert dataclasses.is_dataclass(make_config(preset(name)))
    with pytest.raises(ValueError, match=r"preset 'x' came, one of .*tinyshakespeare"):
        preset("x")
