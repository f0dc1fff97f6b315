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

__all__ = ["InexactResumeWarning", "StoppedTrainingWarning", "restore", "training_state"]

_CALLER = 6  # the warnings name the line that calls fit: above restore, restored, together, _take_up and fit

OPTIONS = ("carry", "accumulate", "clip_norm", "clip_value", "reduction", "val_every", "skip_nonfinite")


class InexactResumeWarning(UserWarning):
    """The training goes on, but not to the last bit as if it had not been interrupted; it says why."""


class StoppedTrainingWarning(UserWarning):
    """What is resumed had been stopped, by a callback that is given again as it was: no step is taken."""


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
        "options": _options(training, callbacks),
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
    before, now = state["options"], _options(training, callbacks)
    if different := changes({**state["environment"], **before}, {**training.environment, **now}):
        warnings.warn(
            f"the training is resumed, but no longer exactly: {different}", InexactResumeWarning, stacklevel=_CALLER
        )
    if training.stopped is not None and before.get("callbacks") != now["callbacks"]:
        training.stopped = None  # it was another callback that asked for it
    if training.stopped is not None:
        warnings.warn(
            f"the training had been stopped after step {training.step_number}: {training.stopped}; no step is taken. "
            "Leave out the callback that asked for it, or give it more patience, to go on",
            StoppedTrainingWarning,
            stacklevel=_CALLER,
        )


def _restore(training: Training, callbacks: Sequence[Callback], state: Mapping[str, Any]) -> None:
    maybe = type(None)
    step, stopped, skipped = required(state, step=int, stopped=(str, maybe), skipped=int)
    model, optimizer, budget, data = required(state, model=dict, optimizer=dict, budget=dict, data=dict)
    progress, best, rng = required(state, progress=(dict, maybe), best=(dict, maybe), rng=(dict, maybe))
    schedule, average, carried = required(state, schedule=(dict, maybe), average=(dict, maybe), carried=(dict, maybe))
    told, _, _ = required(state, callbacks=dict, environment=dict, options=dict)
    if (average is None) != (training.average is None):
        raise CheckpointError(f"it holds {'no' if average is None else 'an'} average, the training has it otherwise")
    noise = _noise_of(training.rng, rng)
    last = None if progress is None else _progress(progress)
    lowest = None if best is None else tuple(required(best, metric=(float, int), step=int))
    if carried is not None and not all(isinstance(leaf, np.ndarray) for leaf in carried.values()):
        raise CheckpointError("its carried state holds something else than arrays")

    training.source.load_state_dict(data)
    training.budget.load_state_dict(budget, step)
    if training.counted:
        training.budget.steps = training.source.steps(training.accumulate)
    training.set_schedule(training.budget.steps)
    if schedule is not None and training.schedule is not None and hasattr(training.schedule, "load_state_dict"):
        training.schedule.load_state_dict(schedule)
    if training.average is not None:
        training.average.load_state_dict(average, training.model)
    for name, callback in _named(callbacks):
        if name in told:
            callback.load_state_dict(told[name])
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


def _options(training: Training, callbacks: Sequence[Callback]) -> dict[str, Any]:
    """What was asked for, in words, to be compared when the training is taken up; not how long it is to go on."""
    told = {name: _words(callback.options()) for name, callback in _named(callbacks)}
    average, optimizer = training.average, training.optimizer
    return {
        "fit": _words({name: getattr(training, name) for name in OPTIONS}),
        "average": {} if average is None else {"rule": type(average).__name__, **_words(average.options())},
        "optimizer": _words({**optimizer.options(), **({} if training.schedule is None else {"lr": "scheduled"})}),
        "callbacks": {name: options for name, options in told.items() if options},
    }


def _words(options: Mapping[str, Any]) -> dict[str, str]:
    """Numbers and flags as they are written; of a function, that it is one."""
    return {name: "a function" if callable(value) else str(value) for name, value in options.items()}


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


def _noise_of(rng: np.random.Generator | None, state: dict[str, Any] | None) -> dict[str, Any] | None:
    """The state, tried on a generator of the training's kind. CheckpointError: only one of both is there; ValueError,
    TypeError: it is none of such a generator."""
    if rng is None or state is None:
        if (rng is None) != (state is None):
            raise CheckpointError(
                f"it holds {'no' if state is None else 'an'} rng state, the training has it otherwise"
            )
        return None
    copy.deepcopy(rng).bit_generator.state = state
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
