"""A synthetic task: recurrent layer -> linear, trained on sequences that are drawn afresh at each step."""

import re
from typing import Any

import numpy as np

from minirnn import losses
from minirnn.data import IGNORED, Batch
from minirnn.data.tasks import Task, make_task
from minirnn.layers import Dropout, Linear, Sequential
from minirnn.module import Array, Module
from minirnn.parallel import communicator, share_of
from minirnn.train.config import TrainConfig
from minirnn.train.experiment import Experiment
from minirnn.train.recurrent_layers import recurrent_layer

__all__ = ["sequence_loss", "task_experiment", "task_figures", "task_model", "task_of"]

HELD_OUT = 500  # sequences that are scored
EXCERPT, ANSWERS = 4, 10  # sequences that are looked at, and the last answers of each that are shown


def task_of(config: TrainConfig) -> Task:
    """The config's task, with its options. ValueError: an unknown task or option, or one out of range."""
    parts = [part.strip() for part in (config.task_options or "").split(",") if part.strip()]
    given = [re.fullmatch(r"(\w+)\s*=\s*(-?[0-9]{1,18})", part) for part in parts]
    named = {found[1]: int(found[2]) for found in given if found is not None}
    if len(named) < len(parts):
        wrong = next((part for part, found in zip(parts, given, strict=True) if found is None), "a name came twice")
        raise ValueError(f"task_options={config.task_options!r} came; name=integer, ... was expected ({wrong!r})")
    return make_task(str(config.task), **named)


def task_model(config: TrainConfig, task: Task, rng: np.random.Generator | None = None) -> Sequential:
    """A new model of the config's size: features (T, B, F) -> ((T, B, O), states)."""
    recurrent = recurrent_layer(
        config.cell,
        task.input_size,
        config.hidden,
        config.layers,
        dropout=config.dropout,
        chrono=config.chrono,
        rng=rng,
    )
    return Sequential(recurrent, Dropout(config.dropout), Linear(config.hidden, task.output_size, rng=rng))


def sequence_loss(model: Any, batch: Batch, state: Any, rng: np.random.Generator | None) -> tuple[Any, Any]:
    """The mean loss that a batch asks for; no state is carried."""
    outputs, _ = model(batch.inputs, lengths=batch.lengths, rng=rng)
    return _loss(batch, outputs), None


def task_experiment(config: TrainConfig, comm: Any = None) -> Experiment:
    """A model to be trained on the config's task, and scored on sequences of their own; on several ranks, each
    scores its share (comm, as `fit` takes it).

    ValueError: an unknown task or option. ImportError: the task needs what is not installed.
    """
    task = task_of(config)
    seeds = [np.random.default_rng([config.seed, part]) for part in range(2)]
    held_out = _held_out(task, config.seed)
    seen = held_out.part(slice(EXCERPT))

    def validate(model: Module) -> dict[str, float]:
        return dict(zip(("val_loss", "val_metric"), _scores(model, task, held_out, comm), strict=True))

    return Experiment(
        config=config,
        model=task_model(config, task, seeds[0]),
        loss=sequence_loss,
        batches=task.batches(seeds[1], config.batch),
        validate=validate,
        figures=lambda model: task_figures(model, task, config.seed, comm),
        excerpt=seen.inputs[: seen.lengths.min()],
        shown=lambda model: _answers(model, seen),
        tokenizer=None,
        tokens_per_step=config.batch * config.accumulate * len(held_out.inputs),
        data={
            "source": repr(task),
            "loss": task.loss,
            "metric": task.metric_name,
            "baseline": float(task.baseline_of(held_out)),
            "baseline_is": task.baseline_is,
            "optimum": float(task.optimum),
        },
    )


def task_figures(model: Module, task: Task, seed: int, comm: Any = None) -> dict[str, float]:
    """Loss and metric on the task's held-out sequences."""
    scores = _scores(model, task, _held_out(task, seed), comm)
    return dict(zip(("held_out_loss", "held_out_metric"), scores, strict=True))


def _held_out(task: Task, seed: int) -> Batch:
    return task.held_out(np.random.default_rng([seed, 2]), HELD_OUT)


def _scores(model: Module, task: Task, batch: Batch, comm: Any = None) -> tuple[float, float]:
    """Each rank runs the model on its share; what a task measures may be of the whole batch alone."""
    ranks = communicator(comm)
    mine = batch.part(share_of(batch.batch_size, ranks.rank, ranks.size))
    own, _ = model(mine.inputs, lengths=mine.lengths)  # type: ignore[operator]
    outputs = np.concatenate(ranks.gather(own), axis=1) if ranks.size > 1 else own
    return float(_loss(batch, outputs)), float(task.metric(outputs, batch))


def _loss(batch: Batch, outputs: Any) -> Any:
    predictions, targets = batch.scored(outputs)
    if batch.loss == "mse":
        return losses.mse(predictions, targets)
    return losses.cross_entropy(predictions, targets, ignore_index=IGNORED)


def _answers(model: Module, batch: Batch) -> str:
    """The last of each sequence's targets, and below them the model's answers."""
    outputs, _ = model(batch.inputs, lengths=batch.lengths)  # type: ignore[operator]
    return "\n\n".join(_answered(batch.part(slice(b, b + 1)), outputs[:, b : b + 1]) for b in range(batch.batch_size))


def _answered(one: Batch, outputs: Array) -> str:
    predictions, targets = one.scored(outputs)
    if one.loss == "cross_entropy":
        asked = targets != IGNORED
        predictions, targets = np.argmax(predictions, axis=-1)[asked], targets[asked]
    lines = {"target": targets, "model ": predictions}
    return "\n".join(f"{who} {' '.join(map(_short, np.ravel(values)[-ANSWERS:]))}" for who, values in lines.items())


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, np.floating) else str(value)
