"""A sweep of trainings: each trial is a run in a folder of its own, with its checkpoints, as `minirnn train` has."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirnn.sweep.driver import Result, Standing, sweep
from minirnn.sweep.spec import Spec
from minirnn.sweep.trial import Trial
from minirnn.train.callbacks import Callback, Progress
from minirnn.train.config_files import make_config
from minirnn.train.execute import experiment_of, resumed_experiment, train
from minirnn.train.lock import FolderInUseError
from minirnn.train.run import DESCRIPTION, read_description
from minirnn.train.training import Training

__all__ = ["TrainObjective", "sweep_runs"]

CHECK_SECONDS = 1.0  # between two looks whether the trial is still this worker's
LOCK_SECONDS = 60.0  # that an earlier attempt, taken for dead, has to see that it is no longer


def sweep_runs(
    spec: Spec,
    folder: str | Path,
    *,
    client: Any = None,
    resume: bool = False,
    on_standing: Callable[[Standing], Any] = lambda standing: None,
) -> Result:
    """The sweep that a spec describes, into a folder: trials/0000, ... are runs, repeats/ those of the best again.

    The first repeat has the best one's seed, and so its bits; the others the seeds after it. Raises what `sweep` does.
    """
    return sweep(
        TrainObjective(dict(spec.train), spec.goal),
        spec.space,
        folder=folder,
        client=client,
        trials=spec.trials,
        minutes=spec.minutes,
        maximize=spec.maximize,
        pruning=spec.pruning,
        sampler=spec.sampler,
        seed=spec.seed,
        repeats=spec.repeats,
        repeated=lambda options, k: {**options, "seed": options.get("seed", spec.train.get("seed", 0)) + k},
        threads=spec.threads,
        resume=resume,
        on_standing=on_standing,
    )


@dataclass(frozen=True)
class TrainObjective:
    """Trains with the base options and a trial's own, into the trial's folder; its score is the goal among the figures.

    A run that is there is gone on with, from its newest intact checkpoint; one that has finished is read.
    """

    base: Mapping[str, Any]
    goal: str

    def __call__(self, options: dict[str, Any], trial: Trial) -> float:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return self._score(options, trial)
            except FolderInUseError:
                trial.check()
                if time.monotonic() > deadline:
                    raise
                time.sleep(CHECK_SECONDS / 2)

    def _score(self, options: dict[str, Any], trial: Trial) -> float:
        begun = (trial.folder / DESCRIPTION).exists()
        if begun and (described := read_description(trial.folder)).finished:
            return self._goal(described.figures)
        config = make_config(self.base, options, {})  # what does nothing beside another choice is left out
        experiment = resumed_experiment(trial.folder) if begun else experiment_of(config)
        reports = _Reports(trial, self.goal)
        return self._goal(train(experiment, trial.folder, callbacks=[reports], resume=begun).figures)

    def _goal(self, figures: Mapping[str, float]) -> float:
        if self.goal not in figures:
            raise ValueError(f"goal={self.goal!r} came, one of the figures {', '.join(figures)} was expected")
        return figures[self.goal]


class _Reports(Callback):
    """Reports each validation, and ends the training where the trial is to end."""

    def __init__(self, trial: Trial, goal: str):
        self.trial = trial
        self.metric = goal.replace("held_out_", "val_")
        self._checked = time.monotonic()

    def on_step(self, training: Training, progress: Progress) -> None:
        if progress.validation:
            self.trial.report(progress.step, self._score(progress.validation))
        elif time.monotonic() - self._checked > CHECK_SECONDS:
            self.trial.check()
            self._checked = time.monotonic()

    def _score(self, metrics: Mapping[str, float]) -> float:
        """What a validation says of the goal: of held_out_loss it is val_loss, ...; else its first metric."""
        return metrics.get(self.metric, next(iter(metrics.values())))
