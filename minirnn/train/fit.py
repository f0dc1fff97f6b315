"""fit: the training loop. Gradient, clip, update, with a recurrent state carried from chunk to chunk; and saved."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from minirnn.module import Module
from minirnn.optim import Optimizer, Schedule
from minirnn.parallel import Reduction, communicator, compare, first, guard, rank_threads, together
from minirnn.parallel.agreement import on_every_rank
from minirnn.train.average import WeightAverage
from minirnn.train.budget import Budget
from minirnn.train.callbacks import Callback, Function, Progress
from minirnn.train.checkpoint import CheckpointError
from minirnn.train.checkpoints import Checkpoints
from minirnn.train.interrupts import InterruptWatch, TrainingInterrupted
from minirnn.train.nonfinite import DivergedError
from minirnn.train.resuming import restore, training_state
from minirnn.train.source import BatchSource
from minirnn.train.training import Training, Validation

__all__ = ["fit"]


def fit(
    model: Module,
    loss: Callable[..., tuple[Any, Any]],
    batches: Iterable[Any],
    optimizer: Optimizer,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    carry: bool = True,
    accumulate: int = 1,
    reduction: Reduction = "mean",
    clip_norm: float | None = None,
    clip_value: float | None = None,
    schedule: Callable[[int], Schedule] | None = None,
    validate: Validation | None = None,
    val_every: int | None = None,
    average: WeightAverage | None = None,
    on_nonfinite: str = "stop",
    callbacks: Sequence[Callback | Callable[[Progress], Any]] = (),
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    extra: Mapping[str, Any] | None = None,
    rng: np.random.Generator | None = None,
    comm: Any = None,
) -> Progress:
    """Train the model in place, until the steps, the epochs, the minutes or the batches are over; the last progress.

    loss(model, batch, state, rng) -> (scalar, state) is differentiated with respect to the model. The state that it
    returns comes in with the next batch as plain arrays, so that the gradient ends where a batch begins (truncated
    BPTT); None comes in with the first, where a batch says `starts`, and always with carry=False. rng makes the noise.

    batches: what can be iterated again is, as often as needed with steps or minutes, `epochs` times with those, once
    with none of the three; what minirnn.data makes knows its own passes, and an end that it was given. Where it has
    `state_dict` and `load_state_dict`, as what minirnn.data makes, a resumed training finds its place by them; anything
    else is run through from its beginning, and has to give the same again.
    minutes: after a warm-up the time of a step and of a validation is measured once, and sets the number of steps from
    then on.

    accumulate: batches a step; its gradient is that of all as one batch. reduction: what the loss is of a batch, and so
    what a part of one counts, on several ranks and in an accumulated step: "mean", over its scored targets; "sum"; a
    function, batch -> its weight in a mean; "batches", on one rank: as much as any other batch. Where batches can be
    divided, halves of the first, and of later ones now and then, are compared with the whole, from no state.
    clip_value: the largest entry of a gradient;
    clip_norm: the largest global norm of what is left. schedule: steps -> (step -> lr), made once the number of steps
    is known, `lambda steps: cosine(1e-3, steps)`; or a function step -> lr itself.
    validate: model -> a number, or a dict of them of which the first decides (the lower, the better), every val_every
    steps, or ten times, and after the last step where their number is known. average: validated in place of the model.
    on_nonfinite: what to do about a loss or gradient that is nan or infinite. "stop" raises DivergedError before the
    update, naming the first such value; "skip" passes over the update, starts from no state, and counts;
    the schedule goes on.

    comm: MPI.COMM_WORLD, or any Communicator: each rank computes the gradient of its share of a batch's streams, and
    all make the update of the whole batch, to rounding (minirnn.parallel). Every rank gives the same arguments; the
    model starts as rank 0's. Callbacks are told, and checkpoints written and read, on rank 0 alone. validate is called
    on all (`held_out_nats(..., comm=comm)` shares the work), and rank 0's result counts.

    callbacks: Callback objects, or functions of the progress. checkpoints: where to save, how often; resume: go on from
    the newest intact one, if there is one. `extra` (numbers, strings, arrays) is saved with it. N steps in one go, and
    in pieces interrupted anywhere, give the same bits, on the same engine, threads and libraries. Where options differ
    from those before, an InexactResumeWarning names them; one that had been stopped takes no step, and says so.

    Ctrl-C ends the step, saves, and raises TrainingInterrupted; a second one raises KeyboardInterrupt at once.
    ValueError: options that contradict each other, or that would do nothing; no batches; a loss that is not what
    reduction says. CheckpointError: a checkpoint of something else, or of other batches. FileExistsError: checkpoints
    of another training, and resume is False.
    FolderInUseError: another training writes there. OSError: a checkpoint cannot be written; older ones are intact.
    DifferentRanksError: ranks with other arguments, versions or parameters than rank 0. What one rank alone raises ends
    all of them, with its message on standard error.
    """
    ranks = communicator(comm)

    def made() -> Training:
        _check_lengths(steps=steps, epochs=epochs, minutes=minutes)
        _check_positive(int, steps=steps, epochs=epochs, accumulate=accumulate, val_every=val_every)
        _check_positive(float, minutes=minutes, clip_norm=clip_norm, clip_value=clip_value)
        if on_nonfinite not in ("stop", "skip"):
            raise ValueError(f'fit: on_nonfinite={on_nonfinite!r} came, "stop" or "skip" was expected')
        _check_reduction(reduction, ranks.size)
        if resume and checkpoints is None:
            raise ValueError("fit: resume=True came without checkpoints, from which to go on")
        if extra is not None and checkpoints is None:
            raise ValueError("fit: extra came without checkpoints, in which to save it")
        _check_validation(validate, val_every=val_every, average=average, callbacks=callbacks)
        counted = steps is None and minutes is None
        watched = checkpoints is not None or ranks.size > 1
        source = BatchSource(batches, epochs, ranks, reduction, ends=counted, watched=watched)
        count = source.steps(accumulate) if counted else steps
        if validate is not None and val_every is None and count is None and minutes is None:
            raise ValueError("fit: validate came with batches whose number is not known; give val_every, or steps")
        return Training(
            model,
            loss,
            source,
            optimizer,
            Budget(count, minutes),
            counted=counted,
            carry=carry,
            accumulate=accumulate,
            clip_norm=clip_norm,
            clip_value=clip_value,
            schedule=schedule,
            validate=validate,
            val_every=val_every,
            average=average,
            skip_nonfinite=on_nonfinite == "skip",
            reduction=reduction,
            rng=rng,
            comm=ranks,
        )

    with ExitStack() as stack:
        stack.enter_context(guard(ranks))
        stack.enter_context(rank_threads(ranks))
        training = together(ranks, made)
        if ranks.size > 1:
            compare(ranks, _given(training), "every rank has to be given the same, and to have the same installed")
        training.replicas.broadcast(model)
        listeners = [c if isinstance(c, Callback) else Function(c) for c in callbacks if ranks.rank == 0]
        if checkpoints is not None:
            first(ranks, lambda: _locked(stack, checkpoints, resume))
            if resume:
                _take_up(training, listeners, checkpoints)
        training.resumes = resume
        watch = stack.enter_context(InterruptWatch())
        stack.push(partial(_of_one_mind, training))  # a callback may change rank 0's model at the end
        started: list[Callback] = []
        stack.push(_Ending(training, started))
        for listener in listeners:
            started.append(listener)
            listener.on_start(training)
        _run(training, listeners, checkpoints, extra or {}, watch)
        parts = {"model": model.state_dict, "optimizer": optimizer.state_dict, "data": training.source.state_dict}
        training.replicas.compare(**{name: state() for name, state in parts.items()} if ranks.size > 1 else {})
        if training.progress is None:
            raise on_every_rank(ValueError("fit: no batches came"))
    return training.progress


def _given(training: Training) -> dict[str, Any]:
    """What has to be the same on every rank, in words and numbers."""
    env, batches = training.environment, training.source.batches
    return {
        "versions": env["versions"],
        "engine": env["engine"],
        "tier": env["tier"],
        "model": {name: f"{array.dtype} {array.shape}" for name, array in training.model.state_dict().items()},
        "optimizer": {"rule": type(training.optimizer).__name__, "lr": training.optimizer.lr},
        "fit": {
            name: getattr(training, name)
            for name in ("carry", "accumulate", "clip_norm", "clip_value", "val_every", "skip_nonfinite")
        }
        | {"reduction": "a function" if callable(training.reduction) else training.reduction},
        "length": {"epochs": training.source.epochs, **training.budget.state_dict()},
        "batches": batches.state_dict() if hasattr(batches, "state_dict") else type(batches).__name__,
        "rng": None if training.rng is None else dict(training.rng.bit_generator.state),
    }


def _run(
    training: Training,
    listeners: list[Callback],
    checkpoints: Checkpoints | None,
    extra: Mapping[str, Any],
    watch: InterruptWatch,
) -> None:
    saved = training.step_number if training.progress is not None else None
    while not training.over:
        best = training.best
        try:
            progress = training.step()
        except DivergedError as error:
            raise on_every_rank(DivergedError(f"{error}{_where_saved(checkpoints)}")) from None
        if progress is None:
            break
        for listener in listeners:
            listener.on_step(training, progress)
        training.stopped, interrupted = training.replicas.stop(training.stopped, watch.came)
        if checkpoints is not None:
            kinds = ["best"] * (checkpoints.best and training.best != best)
            due = checkpoints.every is not None and progress.step % checkpoints.every == 0
            if due or training.over or interrupted:
                kinds.append("step")
                saved = progress.step
            _save(training, listeners, checkpoints, extra, kinds)
        if interrupted and not training.over:
            where = _where_saved(checkpoints)
            raise on_every_rank(TrainingInterrupted(f"interrupted after step {progress.step}{where}"))
    if checkpoints is not None and training.progress is not None and saved != training.step_number:
        _save(training, listeners, checkpoints, extra, ["step"])


def _save(
    training: Training,
    listeners: list[Callback],
    checkpoints: Checkpoints,
    extra: Mapping[str, Any],
    kinds: list[str],
) -> None:
    if kinds:
        for listener in listeners:
            listener.on_save(training)
        state = training_state(training, listeners, extra)
        training.replicas.compare(**{name: state[name] for name in ("model", "optimizer", "average", "rng", "data")})
        for kind in kinds:
            first(training.replicas.comm, partial(checkpoints.save, training.step_number, state, kind))


def _take_up(training: Training, listeners: list[Callback], checkpoints: Checkpoints) -> None:
    comm = training.replicas.comm
    found = first(comm, checkpoints.latest)
    if found is None:
        return

    def restored() -> None:
        try:
            with warnings.catch_warnings():
                if comm.rank > 0:  # rank 0 says it for all
                    warnings.simplefilter("ignore")
                restore(training, listeners, found.state)
        except CheckpointError as error:
            raise CheckpointError(f"{found.path}: {error}") from error

    together(comm, restored)
    training.stopped = comm.bcast(training.stopped)  # callbacks are told on rank 0 alone


def _locked(stack: ExitStack, checkpoints: Checkpoints, resume: bool) -> None:
    if not resume and (there := checkpoints.paths()):
        raise FileExistsError(
            f"fit: {there[0]} is of an earlier training; go on with it (resume=True), or choose another folder"
        )
    stack.enter_context(checkpoints.lock())


def _of_one_mind(training: Training, kind: Any, error: BaseException | None, trace: Any) -> None:
    if error is None:
        training.replicas.broadcast(training.model)


class _Ending:
    """Tells every callback of the end, and of the error that brought it."""

    def __init__(self, training: Training, listeners: list[Callback]):
        self.training, self.listeners = training, listeners

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with ExitStack() as stack:
            for listener in reversed(self.listeners):
                stack.callback(listener.on_end, self.training, error)


def _where_saved(checkpoints: Checkpoints | None) -> str:
    """Where to go on from, as the end of a message."""
    paths = checkpoints.paths() if checkpoints is not None else []
    return f". The newest checkpoint is {paths[0]}" if paths else ""


def _check_validation(
    validate: Validation | None, *, val_every: int | None, average: WeightAverage | None, callbacks: Sequence[Any]
) -> None:
    """ValueError: something that goes by validations, and there are none."""
    if validate is not None:
        return
    waiting = [f"val_every={val_every}"] if val_every is not None else []
    waiting += [type(one).__name__ for one in (average, *callbacks) if getattr(one, "needs_validation", False)]
    if waiting:
        raise ValueError(f"fit: {' and '.join(waiting)} came without validate, by which to go; give validate")


def _check_lengths(**lengths: float | None) -> None:
    given = [f"{name}={value}" for name, value in lengths.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"fit: {' and '.join(given)} came; give one of them")


def _check_reduction(reduction: Reduction, ranks: int) -> None:
    if not callable(reduction) and reduction not in ("mean", "sum", "batches"):
        raise ValueError(
            f'fit: reduction={reduction!r} came, "mean", "sum", "batches" or a function of a batch was expected'
        )
    if reduction == "batches" and ranks > 1:
        raise ValueError(f'fit: reduction="batches" came with {ranks} ranks, which divide batches; take one rank')


def _check_positive(kind: type, **options: float | None) -> None:
    words = "a positive integer" if kind is int else "a positive number"
    for name, value in options.items():
        if value is None:
            continue
        fits = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not fits or not value > 0 or (name == "minutes" and not math.isfinite(value)):
            raise ValueError(f"fit: {name}={value!r} came, {words} was expected")
