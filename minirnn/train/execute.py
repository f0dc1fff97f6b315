"""An experiment's training into a folder, and a training in a folder gone on with."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.data import Corpus, TextFiles, open_text, standard_library
from minirnn.engines import engine, engine_names
from minirnn.module import Module
from minirnn.optim import Adam, AdamW
from minirnn.parallel import communicator, compare, first, guard, rank_threads, together
from minirnn.train.average import EMA, NTASGD, WeightAverage
from minirnn.train.callbacks import Callback, EarlyStopping, Progress
from minirnn.train.checkpoints import Checkpoints
from minirnn.train.config import TrainConfig
from minirnn.train.curves import has_plot, plot_curves
from minirnn.train.environment import same_kernels
from minirnn.train.experiment import Experiment
from minirnn.train.fit import fit
from minirnn.train.language_model import text_experiment
from minirnn.train.lock import FolderLock
from minirnn.train.metrics import MetricsLog, read_metrics
from minirnn.train.run import CHECKPOINTS, Description, Run, begin_run, finish_run, read_description, weights
from minirnn.train.sequence_task import task_experiment
from minirnn.train.tensorboard import TensorBoard, has_tensorboard, require_tensorboard
from minirnn.train.training import Training

__all__ = ["corpus_of", "experiment_of", "resumed_experiment", "train"]

ADVICE = "give every rank the same text and options"

Best = tuple[int, float, Mapping[str, Any]]  # a validation's step and metric, and the weights that it saw
Listeners = Sequence[Callback | Callable[[Progress], Any]]


def corpus_of(config: TrainConfig) -> Corpus | TextFiles:
    """The config's text; the source of Python's standard library where it names none."""
    return standard_library() if config.text is None else open_text(config.text)


def experiment_of(config: TrainConfig, comm: Any = None) -> Experiment:
    """What a config describes, ready to be trained, by all ranks of comm, as `fit` takes it.

    ValueError: an option that would do nothing. ValueError, OSError: what it learns from is not there. ImportError: an
    extra that it needs is not there. RankFailedError: that is so on another rank. DifferentRanksError: another text is
    there, or other options.
    """

    def made() -> Experiment:
        _check_extras(config)
        for name, beside in config.unused().items():
            raise ValueError(
                f"{name}={getattr(config, name)!r} came with {beside}, where it does nothing; leave it out"
            )
        if config.task is not None:
            return task_experiment(config, comm)
        return text_experiment(corpus_of(config), config, comm=comm)

    ranks = communicator(comm)
    experiment = together(ranks, made)
    compare(ranks, _same(experiment), ADVICE)
    return experiment


def resumed_experiment(folder: str | os.PathLike[str], comm: Any = None) -> Experiment:
    """The experiment of an unfinished run, on the same data, for `train(experiment, folder, resume=True)`. On several
    ranks the run is read on rank 0, and the text on each.

    FileNotFoundError: no run, or its text is gone. ValueError: a damaged or finished run, or a text that has changed.
    ImportError: an extra that it needs is not there.
    """
    ranks = communicator(comm)
    described = first(ranks, lambda: read_description(folder))
    return together(ranks, lambda: _resumed(folder, described, comm))


def _resumed(folder: str | os.PathLike[str], described: Description, comm: Any) -> Experiment:
    if described.finished:
        raise ValueError(f"{folder}: this run has finished; there is nothing to resume")
    config = described.config
    _check_extras(config)
    if config.task is not None:
        return task_experiment(config, comm)
    corpus = corpus_of(config)
    yardsticks = described.data.get("yardsticks")
    experiment = text_experiment(corpus, config, tokenizer=described.tokenizer, yardsticks=yardsticks, comm=comm)
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
    comm: Any = None,
) -> Run:
    """Train the experiment's model: a Run with the best weights that a validation found, and their figures.

    folder: where the run is kept, all the time: run.json, checkpoints, metrics, and in the end model.safetensors and
    curves.png (extra `plot`); TensorBoard's scalars with the extra `tensorboard`, where the config says tensorboard its
    gates, states and samples too. resume: go on with the run in there.
    comm: as `fit` takes it; the experiment is one that was made with it. Rank 0 writes, and tells the callbacks.

    Raises what `fit` raises. FileExistsError: the folder already holds a run, and resume is False. ValueError: the run
    that is to be resumed is of another config or text; tensorboard or resume, and no folder.
    """
    config, model, ranks = experiment.config, experiment.model, communicator(comm)
    compare(ranks, _same(experiment), ADVICE)
    for name, given in (("tensorboard", config.tensorboard), ("resume", resume)):
        if given and folder is None:
            raise ValueError(f"train: {name}=True came without a folder; give the run's")
    listeners: list[Callback | Callable[[Progress], Any]] = []
    checkpoints = None
    with ExitStack() as stack:
        stack.enter_context(guard(ranks))
        _check_extras(config)
        before = {}
        if folder is not None and resume:
            described = first(ranks, partial(read_description, folder))
            _check_same(folder, described, experiment)
            before = described.environment
        stack.enter_context(engine(_engine(config, before)))
        if before.get("ranks", 1) != ranks.size:  # their threads were for other shares
            before = {name: value for name, value in before.items() if "threads" not in name}
        stack.enter_context(same_kernels(before))
        stack.enter_context(rank_threads(ranks))
        if folder is not None:
            folder = Path(folder)
            first(ranks, lambda: _begun(stack, folder, experiment, resume, ranks.size))
            checkpoints = Checkpoints(folder / CHECKPOINTS, every=config.save_every, keep=config.keep)
            listeners.append(MetricsLog(folder))
            if config.tensorboard:
                seen = TensorBoard(folder / "tensorboard", excerpt=experiment.excerpt, shown=experiment.shown)
                listeners.append(seen)
            elif has_tensorboard():
                listeners.append(TensorBoard(folder / "tensorboard"))
        kept = _KeptBest()
        if folder is None:
            listeners.append(kept)
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
            comm=ranks,
            extra=None if checkpoints is None else _tokenizer(experiment),
            rng=np.random.default_rng([config.seed, 1]),
        )
        if average is not None:
            average.copy_to(model)
        best = first(ranks, checkpoints.best_one) if checkpoints is not None else None
        found: Best | None
        if best is not None:
            found = best.step, float(best.state["best"]["metric"]), weights(best.state)
        else:
            found = ranks.bcast(kept.best)
        step = _take_best(model, last, found)
        figures = {
            **{name: float(value) for name, value in experiment.figures(model).items()},
            "best_step": step,
            "steps": last.step,
            "seconds": last.seconds,
            "seconds_per_step": last.seconds / last.step,
        }
        run = Run(model, experiment.tokenizer, config, figures, experiment.data)
        if folder is not None:
            first(ranks, lambda: _finished(run, folder))
    return run


def _check_same(folder: str | os.PathLike[str], described: Description, experiment: Experiment) -> None:
    """ValueError: the run in the folder is of other options, or of other data."""
    then, now = (
        {**asdict(one.config), **{name: one.data.get(name) for name in ("sha256", "source")}}
        for one in (described, experiment)
    )
    moved = ("text", "source") if then["sha256"] is not None else ()  # the same text may be kept elsewhere
    other = [f"{k} was {then[k]!r}, is {now[k]!r}" for k in then if k not in moved and then[k] != now[k]]
    if other:
        raise ValueError(f"{folder}: the run there is another one: {'; '.join(other)}; give what it was begun with")


def _check_extras(config: TrainConfig) -> None:
    if config.tensorboard:
        require_tensorboard()


def _same(experiment: Experiment) -> dict[str, Any]:
    """What ranks have to have in common: the data, but not where it is kept, and the options."""
    owner = "the task's" if experiment.tokenizer is None else "the text's"
    apart = ("source", "first_line", "yardsticks")
    data = {f"{owner} {name}": value for name, value in experiment.data.items() if name not in apart}
    return data | {f"option {name}": v for name, v in asdict(experiment.config).items() if name != "text"}


def _begun(stack: ExitStack, folder: Path, experiment: Experiment, resume: bool, ranks: int) -> None:
    if not resume:
        begin_run(folder, experiment, ranks)
    stack.enter_context(FolderLock(folder))


def _finished(run: Run, folder: str | os.PathLike[str]) -> None:
    finish_run(run, folder)
    if has_plot():
        plot_curves(read_metrics(folder), Path(folder) / "curves.png", str(folder))


class _KeptBest(Callback):
    """The weights of the best validation, in memory: for a training that has no folder."""

    def __init__(self) -> None:
        self.best: Best | None = None

    def on_step(self, training: Training, progress: Progress) -> None:
        if training.best is not None and training.best[1] == progress.step:
            self.best = progress.step, training.best[0], training.validated.state_dict()


def _tokenizer(experiment: Experiment) -> dict[str, Any]:
    return {} if experiment.tokenizer is None else {"tokenizer": experiment.tokenizer.to_dict()}


def _take_best(model: Module, last: Progress, best: Best | None) -> int:
    """Put the best validated weights into the model, if they are not the last ones anyway; the step they are from."""
    if best is None:
        return last.step
    step, metric, state = best
    now = next(iter(last.validation.values()), math.inf)
    if step == last.step or now <= metric:  # one that is nan is no better than any
        return last.step
    model.load_state_dict(state)
    return step


def _average(config: TrainConfig) -> WeightAverage | None:
    if config.average == "none":
        return None
    return EMA(config.ema_decay) if config.average == "ema" else NTASGD()


def _engine(config: TrainConfig, environment: Mapping[str, Any]) -> str:
    """The engine to run on: a resumed run's own, where "auto" chose one for all its cells."""
    used = set(environment.get("engine", {}).values())
    name = used.pop() if config.engine == "auto" and len(used) == 1 else config.engine
    return name if name in engine_names() else config.engine
