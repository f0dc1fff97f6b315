import numpy as np
import pytest

from minirnn.data import IGNORED
from minirnn.data.tasks import TASKS
from minirnn.train import TrainConfig, load_run, task_experiment, train
from minirnn.train.sequence_task import task_of

pytestmark = pytest.mark.usefixtures("no_pictures")

SMALL = {"hidden": 8, "batch": 4}


@pytest.mark.parametrize("task", [name for name in TASKS if name != "digits"])
def test_every_task_trains_into_a_folder_and_is_read_again(task, tmp_path):
    config = TrainConfig(task=task, steps=2, layers=2, dropout=0.1, **SMALL)
    run = train(task_experiment(config), tmp_path)
    again = load_run(tmp_path)
    before = run.model.state_dict()
    assert all(np.array_equal(value, before[name]) for name, value in again.model.state_dict().items())
    assert again.figures == run.figures
    assert 0 <= run.figures["held_out_metric"] <= 1


def test_a_short_adding_problem_is_learned():
    config = TrainConfig(task="adding", task_options="length=6", steps=150, hidden=24, batch=32, lr=2e-2)
    experiment = task_experiment(config)
    assert train(experiment).figures["held_out_loss"] < 0.5 * experiment.data["baseline"]


@pytest.mark.parametrize("seed", range(12))
def test_the_adding_problem_is_judged_by_the_best_constant_on_what_is_held_out(seed):
    """1 scores below 1/6 on half of the held-out sets; no constant scores below their baseline on any."""
    experiment = task_experiment(TrainConfig(task="adding", task_options="length=4", steps=1, seed=seed, **SMALL))
    baseline = experiment.data["baseline"]
    linear = experiment.model.layers[-1]
    scores = []
    for constant in np.linspace(0.9, 1.1, 21):
        linear.weight, linear.bias = np.zeros_like(linear.weight), np.full_like(linear.bias, constant)
        scores.append(experiment.validate(experiment.model)["val_loss"])
    assert baseline <= min(scores) < baseline + 1e-4


@pytest.mark.parametrize("task", ["reber", "copy", "adding"])  # of lengths that differ, of the same, of numbers
def test_an_experiment_holds_what_is_looked_at_while_it_trains(task):
    config = TrainConfig(task=task, steps=1, accumulate=3, seed=5, **SMALL)
    experiment, made = task_experiment(config), task_of(config)
    held_out = made.held_out(np.random.default_rng([5, 2]), 500)
    assert experiment.tokens_per_step == 4 * 3 * len(held_out.inputs)
    shortest = held_out.lengths[:4].min()
    assert np.array_equal(experiment.excerpt, held_out.inputs[:shortest, :4])
    outputs, _ = experiment.model(held_out.inputs[:, :4], lengths=held_out.lengths[:4])
    predictions, targets = held_out.part(slice(4)).scored(outputs)
    parts = experiment.shown(experiment.model).split("\n\n")
    assert len(parts) == 4
    for b, part in enumerate(parts):
        if task == "adding":
            lines = [f"target {targets[b, 0]:.2f}", f"model  {predictions[b, 0]:.2f}"]
        else:
            asked = targets[:, b] != IGNORED
            answers = np.argmax(predictions[asked, b], axis=-1)[-10:]
            lines = [f"target {' '.join(map(str, targets[asked, b][-10:]))}", f"model  {' '.join(map(str, answers))}"]
        assert part.splitlines() == lines
    data = experiment.data
    assert (data["loss"], data["metric"], data["baseline_is"]) == (made.loss, made.metric_name, made.baseline_is)
    assert (data["source"], data["optimum"]) == (repr(made), made.optimum)


def test_a_class_is_guessed_best_by_its_share_of_what_is_held_out():
    task = task_of(TrainConfig(task="temporal-order", task_options="length=10", steps=1))
    batch = task.batch(np.random.default_rng(0), 40)
    share = np.bincount(batch.targets, minlength=4) / 40
    assert task.baseline_of(batch) == pytest.approx(-np.log(share[batch.targets]).mean())
    assert task.baseline_of(batch) < task.baseline


def test_options_of_a_task_are_its_own():
    task = task_of(TrainConfig(task="copy", task_options="delay=9, symbols=3", steps=1))
    assert (task.delay, task.symbols, task.length) == (9, 3, 10)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("delay", "name=integer"),
        ("delay=x", "name=integer"),
        ("delay=--5", "name=integer"),
        ("delay=\u00b2", "name=integer"),
        ("delay=3,delay=4", "a name came twice"),
        ("pause=3", "pause"),
        ("delay=0", "delay=0"),
    ],
)
def test_a_tasks_bad_options_are_errors(options, says):
    with pytest.raises(ValueError, match=says):
        task_of(TrainConfig(task="copy", task_options=options, steps=1))
