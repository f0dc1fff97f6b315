"""An experiment's training into a folder, and a training in a folder gone on with."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.data import Corpus, read_text, standard_library
from minirnn.engines import engine, engine_names
from minirnn.module import Module
from minirnn.optim import Adam, AdamW
from minirnn.train.average import EMA, NTASGD, WeightAverage
from minirnn.train.callbacks import Callback, EarlyStopping, Progress
from minirnn.train.checkpoints import Checkpoints, Found
from minirnn.train.config import TrainConfig
from minirnn.train.curves import has_plot, plot_curves
from minirnn.train.environment import same_kernels
from minirnn.train.experiment import Experiment
from minirnn.train.fit import fit
from minirnn.train.language_model import text_experiment
from minirnn.train.lock import FolderLock
from minirnn.train.metrics import MetricsLog, read_metrics
from minirnn.train.run import CHECKPOINTS, Run, begin_run, finish_run, read_description, weights
from minirnn.train.sequence_task import task_experiment
from minirnn.train.tensorboard import TensorBoard, has_tensorboard

__all__ = ["corpus_of", "experiment_of", "resumed_experiment", "train"]

Listeners = Sequence[Callback | Callable[[Progress], Any]]


def corpus_of(config: TrainConfig) -> Corpus:
    """The config's text; the source of Python's standard library where it names none."""
    return standard_library() if config.text is None else read_text(config.text)


def experiment_of(config: TrainConfig) -> Experiment:
    """What a config describes, ready to be trained. ValueError, OSError: what it learns from is not there."""
    return task_experiment(config) if config.task is not None else text_experiment(corpus_of(config), config)


def resumed_experiment(folder: str | os.PathLike[str]) -> Experiment:
    """The experiment of an unfinished run, on the same data, for `train(experiment, folder, resume=True)`.

    FileNotFoundError: no run, or its text is gone. ValueError: a damaged or finished run, or a text that has changed.
    """
    described = read_description(folder)
    if described.finished:
        raise ValueError(f"{folder}: this run has finished; there is nothing to resume")
    config = described.config
    if config.task is not None:
        return task_experiment(config)
    corpus = corpus_of(config)
    yardsticks = described.data.get("yardsticks")
    experiment = text_experiment(corpus, config, tokenizer=described.tokenizer, yardsticks=yardsticks)
    if experiment.data["sha256"] != described.data.get("sha256"):
        raise ValueError(
            f"{corpus.source}: the text has changed since the run in {folder} began; put it back to resume"
        )
    return experiment


def train(
    experiment: Experiment,
    folder: str | os.PathLike[str] | None = None,
    *,
    callbacks: Listeners = (),
    resume: bool = False,
) -> Run:
    """Train the experiment's model: a Run with the best weights that a validation found, and their figures.

    folder: where the run is kept, all the time: run.json, checkpoints, metrics, and in the end model.safetensors and
    curves.png (extra `plot`); TensorBoard's files with the extra `tensorboard`. resume: go on with the run in there.

    Raises what `fit` raises. FileExistsError: the folder already holds a run, and resume is False.
    """
    config, model = experiment.config, experiment.model
    listeners: list[Callback | Callable[[Progress], Any]] = []
    checkpoints = None
    with ExitStack() as stack:
        before = read_description(folder).environment if folder is not None and resume else {}
        stack.enter_context(engine(_engine(config, before)))
        stack.enter_context(same_kernels(before))
        if folder is not None:
            folder = Path(folder)
            if not resume:
                begin_run(folder, experiment)
            stack.enter_context(FolderLock(folder))
            checkpoints = Checkpoints(folder / CHECKPOINTS, every=config.save_every, keep=config.keep)
            listeners.append(MetricsLog(folder))
            if has_tensorboard():
                listeners.append(TensorBoard(folder / "tensorboard"))
        listeners += callbacks
        if config.patience is not None:
            listeners.append(EarlyStopping(config.patience))
        average = _average(config)
        last = fit(
            model,
            experiment.loss,
            experiment.batches,
            (AdamW if config.weight_decay else Adam)(model, lr=config.lr, weight_decay=config.weight_decay),
            steps=config.steps,
            minutes=config.minutes,
            accumulate=config.accumulate,
            clip_norm=config.clip,
            clip_value=config.clip_value,
            schedule=config.schedule_of,
            validate=experiment.validate,
            val_every=config.val_every,
            average=average,
            on_nonfinite=config.on_nonfinite,
            callbacks=listeners,
            checkpoints=checkpoints,
            resume=resume,
            extra={} if experiment.tokenizer is None else {"tokenizer": experiment.tokenizer.to_dict()},
            rng=np.random.default_rng([config.seed, 1]),
        )
        if average is not None:
            average.copy_to(model)
        best = checkpoints.best_one() if checkpoints is not None else None
        step = _take_best(model, last, best)
        figures = {
            **{name: float(value) for name, value in experiment.figures(model).items()},
            "best_step": step,
            "steps": last.step,
            "seconds": last.seconds,
            "seconds_per_step": last.seconds / last.step,
        }
        run = Run(model, experiment.tokenizer, config, figures, experiment.data)
        if folder is not None:
            finish_run(run, folder)
            if has_plot():
                plot_curves(read_metrics(folder), Path(folder) / "curves.png", str(folder))
    return run


def _take_best(model: Module, last: Progress, best: Found | None) -> int:
    """Put the best validated weights into the model, if they are not the last ones anyway; the step they are from."""
    if best is None:
        return last.step
    now = next(iter(last.validation.values()), math.inf)
    if best.step != last.step and best.state["best"]["metric"] < now:
        model.load_state_dict(weights(best.state))
        return best.step
    return last.step


def _average(config: TrainConfig) -> WeightAverage | None:
    if config.average == "none":
        return None
    return EMA(config.ema_decay) if config.average == "ema" else NTASGD()


def _engine(config: TrainConfig, environment: Mapping[str, Any]) -> str:
    """The engine to run on: a resumed run's own, where "auto" chose one for all its cells."""
    used = set(environment.get("engine", {}).values())
    name = used.pop() if config.engine == "auto" and len(used) == 1 else config.engine
    return name if name in engine_names() else config.engine
