"""Everything that a training depends on as one state, and a training put back to it."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.train.callbacks import Callback, Progress
from minirnn.train.checkpoint import CheckpointError, required
from minirnn.train.environment import changes
from minirnn.train.training import Training

__all__ = ["InexactResumeWarning", "restore", "training_state"]


class InexactResumeWarning(UserWarning):
    """The training goes on, but not to the last bit as if it had not been interrupted; it says why."""


def training_state(training: Training, callbacks: Sequence[Callback], extra: Mapping[str, Any]) -> dict[str, Any]:
    """All that the next step depends on, and what describes it, as `write_checkpoint` takes it. Every rank calls it."""
    progress, best = training.progress, training.best
    return {
        "step": training.step_number,
        "progress": None if progress is None else _plain(progress),
        "stopped": training.stopped,
        "skipped": training.skipped,
        "best": None if best is None else {"metric": best[0], "step": best[1]},
        "model": training.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "budget": training.budget.state_dict(),
        "schedule": _state_of(training.schedule),
        "average": _state_of(training.average),
        "rng": None if training.rng is None else dict(training.rng.bit_generator.state),
        "data": training.source.state_dict(),
        "carried": _carried(training),
        "callbacks": {name: callback.state_dict() for name, callback in _named(callbacks)},
        "environment": training.environment,
        "extra": dict(extra),
    }


def restore(training: Training, callbacks: Sequence[Callback], state: Mapping[str, Any]) -> None:
    """Put a new training to where the state was made. Model and optimiser change last, and only if all else fits.

    CheckpointError: the state is none of such a training. InexactResumeWarning: engine, threads or libraries differ.
    """
    try:
        _restore(training, callbacks, state)
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise CheckpointError(f"it does not belong to this training: {error}") from error
    if different := changes(state["environment"], training.environment):
        warnings.warn(
            f"the training is resumed, but no longer exactly: {different}", InexactResumeWarning, stacklevel=4
        )


def _restore(training: Training, callbacks: Sequence[Callback], state: Mapping[str, Any]) -> None:
    maybe = type(None)
    step, stopped, skipped = required(state, step=int, stopped=(str, maybe), skipped=int)
    model, optimizer, budget, data = required(state, model=dict, optimizer=dict, budget=dict, data=dict)
    progress, best, rng = required(state, progress=(dict, maybe), best=(dict, maybe), rng=(dict, maybe))
    schedule, average, carried = required(state, schedule=(dict, maybe), average=(dict, maybe), carried=(dict, maybe))
    told, _ = required(state, callbacks=dict, environment=dict)
    if (rng is None) != (training.rng is None):
        raise CheckpointError(f"it holds {'no' if rng is None else 'an'} rng state, the training has it otherwise")
    if (average is None) != (training.average is None):
        raise CheckpointError(f"it holds {'no' if average is None else 'an'} average, the training has it otherwise")
    noise = None if rng is None else _generator_like(training.rng, rng)
    last = None if progress is None else _progress(progress)
    lowest = None if best is None else tuple(required(best, metric=(float, int), step=int))
    if carried is not None and not all(isinstance(leaf, np.ndarray) for leaf in carried.values()):
        raise CheckpointError("its carried state holds something else than arrays")

    training.budget.load_state_dict(budget, step)
    training.set_schedule(training.budget.steps)
    if schedule is not None and training.schedule is not None and hasattr(training.schedule, "load_state_dict"):
        training.schedule.load_state_dict(schedule)
    if training.average is not None:
        training.average.load_state_dict(average, training.model)
    for name, callback in _named(callbacks):
        if name in told:
            callback.load_state_dict(told[name])
    training.source.load_state_dict(data)
    before = training.optimizer.state_dict()
    training.optimizer.load_state_dict(optimizer)
    try:
        training.model.load_state_dict(model)
    except ValueError:
        training.optimizer.load_state_dict(before)
        raise
    if noise is not None and training.rng is not None:
        training.rng.bit_generator.state = noise
    training.saved_carried = carried
    training.step_number, training.stopped, training.skipped = step, stopped, skipped
    training.progress, training.best = last, lowest


def _state_of(part: Any) -> dict[str, Any] | None:
    return part.state_dict() if hasattr(part, "state_dict") else None


def _carried(training: Training) -> dict[str, Any] | None:
    if training.saved_carried is not None:  # taken up, and not yet used
        return training.saved_carried
    if training.carried is None:
        return None
    named = {path: np.asarray(leaf) for path, leaf in tree.named_leaves(training.carried)}
    return named if training.share is None else training.replicas.whole(named, training.share)


def _named(callbacks: Sequence[Callback]) -> list[tuple[str, Callback]]:
    """The callbacks under their classes' names, numbered where there are several of a class."""
    counts: dict[str, int] = {}
    named = []
    for callback in callbacks:
        kind = type(callback).__name__
        counts[kind] = counts.get(kind, 0) + 1
        named.append((f"{kind} {counts[kind]}", callback))
    return named


def _generator_like(rng: np.random.Generator | None, state: dict[str, Any]) -> dict[str, Any]:
    """The state, tried on a generator of the same kind. ValueError, TypeError: it is none of such a generator."""
    trial = copy.deepcopy(rng)
    if trial is None:
        raise CheckpointError("it holds an rng state, the training has no rng")
    trial.bit_generator.state = state
    return state


def _plain(progress: Progress) -> dict[str, Any]:
    """As a dict without nan and infinity, which are None there."""
    fields = progress._asdict()
    fields["validation"] = {k: _finite(v) for k, v in progress.validation.items()}
    return {name: _finite(value) for name, value in fields.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _progress(fields: dict[str, Any]) -> Progress:
    number = (int, float, type(None))
    step, steps, loss, norm, lr, seconds, epoch, skipped, validation = required(
        fields,
        step=int,
        steps=(int, type(None)),
        loss=number,
        grad_norm=number,
        lr=number,
        seconds=number,
        epoch=int,
        skipped=int,
        validation=dict,
    )
    metrics = {name: _number(value) for name, value in validation.items()}
    figures = [_number(value) for value in (loss, norm, lr, seconds)]
    return Progress(step, steps, figures[0], figures[1], figures[2], figures[3], epoch, skipped, metrics)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
