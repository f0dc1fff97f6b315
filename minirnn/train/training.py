"""Training: a model on its way, step by step: what a checkpoint holds, and what a callback is shown."""

import copy
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.module import Array, Module
from minirnn.optim import Optimizer, Schedule, clip_by_global_norm, clip_by_value, global_norm
from minirnn.optim.clip import scaled_to_norm
from minirnn.parallel import SINGLE, Communicator, Reduction, Replicas, Share, Trouble, compare, step_weights
from minirnn.train.average import WeightAverage
from minirnn.train.budget import LOOKS, Budget
from minirnn.train.callbacks import Progress
from minirnn.train.checkpoint import CheckpointError
from minirnn.train.environment import environment
from minirnn.train.nonfinite import DivergedError, first_nonfinite
from minirnn.train.source import BatchSource, fingerprint
from minirnn.transform import value_and_grad

__all__ = ["Training", "Validation"]

MANY_STEPS = 10**9
MOST_SKIPS = 50  # in a row; then nothing but another start helps

Validation = Callable[[Module], float | Mapping[str, float]]


class Training:
    """A model, its optimiser and batches, and how far they are. `fit` makes one and takes its steps."""

    def __init__(
        self,
        model: Module,
        loss: Callable[..., tuple[Any, Any]],
        source: BatchSource,
        optimizer: Optimizer,
        budget: Budget,
        *,
        counted: bool,
        carry: bool,
        accumulate: int,
        clip_norm: float | None,
        clip_value: float | None,
        schedule: Callable[[int], Schedule] | None,
        validate: Validation | None,
        val_every: int | None,
        average: WeightAverage | None,
        skip_nonfinite: bool,
        rng: np.random.Generator | None,
        reduction: Reduction = "mean",
        comm: Communicator = SINGLE,
    ):
        self.replicas, self.reduction = Replicas(comm, reduction, accumulate > 1), reduction
        self.model, self.optimizer, self.rng, self.average = model, optimizer, rng, average
        self.budget, self.source = budget, source
        self.counted = counted  # whether it is the batches that say how many steps there are
        self.resumes = False  # whether it was to go on with what is there
        self.carry, self.accumulate = carry, accumulate
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.schedule: Schedule | None = None
        self.make_schedule = schedule
        self._scheduled: int | None = None  # the number of steps that the schedule is for
        self.validate, self.val_every = validate, val_every
        self.skip_nonfinite, self.skipped, self._skipped_in_a_row = skip_nonfinite, 0, 0
        self.progress: Progress | None = None
        self.best: tuple[float, int] | None = None  # the lowest validation metric, and its step
        self.stopped: str | None = None  # why, where a callback asked for it
        self.step_number = 0
        self._compared = False
        self.carried: Any = None
        self.share: Share | None = None  # of the batch that it was carried out of
        self.saved_carried: dict[str, Array] | None = None  # a checkpoint's, until the first batch tells its nesting
        self._normed: tuple[dict[str, Array], float] | None = None
        self.environment = environment(model, comm.size)
        self._loss, self._gradient = loss, value_and_grad(loss, has_aux=True)
        self._check_optimizer()
        if self.make_schedule is not None:
            self.set_schedule(budget.steps)

    def _check_optimizer(self) -> None:
        """ValueError: it updates something else than the model, or goes by validations that there are not."""
        mine = self.model.parameters(frozen=True)
        other = [name for name, p in self.optimizer.parameters().items() if mine.get(name) is not p]
        if other:
            raise ValueError(f"fit: the optimizer updates {other[0]}, which is no array of this model; make it from it")
        main, *of_groups = self.optimizer.schedules
        if any(hasattr(one, "observe") for one in of_groups):
            raise ValueError("fit: a schedule that goes by validations came for a group; give it for all parameters")
        if hasattr(main, "observe") and self.make_schedule is None:
            self.schedule = self._told(main)

    def _told(self, schedule: Any) -> Schedule:
        if hasattr(schedule, "observe") and self.validate is None:
            raise ValueError(f"fit: {type(schedule).__name__} came without validate, by which to go; give validate")
        made: Schedule = schedule
        return made

    def stop(self, reason: str) -> None:
        """Make this step the last. The first reason counts."""
        self.stopped = self.stopped or reason

    @property
    def over(self) -> bool:
        """Whether there is no step left to take, as far as is known before the batches are asked."""
        steps = self.budget.steps
        return self.stopped is not None or self.source.over or (steps is not None and self.step_number >= steps)

    @property
    def validated(self) -> Module:
        """The model as a validation sees it: with the average of the weights, where there is one."""
        return self.model if self.average is None else self.average.applied_to(self.model)

    # ------------------------------------------------------------------ a step
    def step(self) -> Progress | None:
        """Gradients, clipping, update, validation; None where no batch is left. DivergedError: nothing was updated."""
        looks = None if self.validate is None else self._metrics
        steps = self.budget.look(self.step_number, looks, self.val_every, self.replicas.comm.bcast)
        self.set_schedule(steps)
        if steps is not None and self.step_number >= steps:
            return None
        shares = self.source.take(self.accumulate, whole=self.replicas.wants_whole(self.step_number))
        if not shares:
            return None
        if not self._compared:  # every rank is to be given all of each batch, not its own part
            prints = [fingerprint(share.whole) for share in shares] if not self.replicas.alone else []
            compare(self.replicas.comm, {"the batches' fingerprint": prints}, "give every rank all of each batch")
            self._compared = True
        value, grads, problem = self._gradients(shares)
        norm = self._norm(grads) if problem is None else math.nan
        self._normed = None
        lr = self.optimizer.lr
        if problem is None:
            self._update(grads, norm)
            self._skipped_in_a_row = 0
        else:
            self._skip(problem)
        self.step_number += 1
        validation = self._validated(steps)
        self.progress = Progress(
            self.step_number, steps, value, norm, lr, self.budget.seconds(), self.source.epoch, self.skipped, validation
        )
        return self.progress

    def set_schedule(self, steps: int | None) -> None:
        """Make the schedule: before the number of steps is known, that of so many that only its beginning counts."""
        if self.make_schedule is None or (self.schedule is not None and self._scheduled == steps):
            return
        if self.schedule is None or not hasattr(self.schedule, "observe"):  # what observes keeps what it has seen
            self.schedule = self._told(self._made_schedule(self.make_schedule, steps))
            self.optimizer.lr = self.schedule
        self._scheduled = steps

    def _made_schedule(self, make: Any, steps: int | None) -> Any:
        """The schedule that `make` makes, or itself where it gives numbers: then it is one."""
        if not callable(make):
            raise TypeError(f"fit: schedule={make!r} came, steps -> (step -> lr) or step -> lr was expected")
        try:
            made = make(MANY_STEPS if steps is None else steps)
        except (ArithmeticError, LookupError, ValueError):
            made = make(0)  # one that knows its own steps alone
            if callable(made):
                raise
        if isinstance(made, Real) and not isinstance(made, bool):
            return make
        if not callable(made):
            raise TypeError(f"fit: schedule gave {made!r}, a function step -> lr was expected")
        if steps is None and self.budget.minutes is None:
            raise ValueError(
                "fit: a schedule needs steps or minutes, or batches whose number is known (len); or give step -> lr"
            )
        return made

    def _gradients(self, shares: list[Share]) -> tuple[float, dict[str, Array], str | None]:
        """The loss and gradient of all the batches over all ranks, and the first value not finite, or None."""
        weights, divisor = step_weights(shares, self.reduction)
        own, sums, trouble = self._own_gradients(shares, weights)
        value, sums, trouble = self.replicas.sum(own, sums, trouble)
        if trouble is not None:
            self.carried = None
            if self.rng is not None:
                self.rng.bit_generator.state = trouble.rng_state
            return value, sums, trouble.what
        if divisor > 1:
            sums = {name: g / divisor for name, g in sums.items()}
        return value / divisor, sums, None

    def _own_gradients(
        self, shares: list[Share], weights: list[float]
    ) -> tuple[float, dict[str, Array], Trouble | None]:
        """The sum of loss and gradient over the batches, of this rank's streams by their weight; up to a trouble."""
        total = 0.0
        sums: dict[str, Array] = {}
        for i, (share, weight) in enumerate(zip(shares, weights, strict=True)):
            self.share, batch = share, share.batch
            self.replicas.look(self._loss, self.model, share, self.rng, self.step_number)
            rng = self.replicas.begin(self.rng, self.share)
            state = self._state_before(self.share, rng)
            noise = None if self.rng is None else self.rng.bit_generator.state
            (value, after), grads = self._gradient(self.model, batch, state, rng)
            if weight and not (np.isfinite(value) and math.isfinite(self._norm(grads))):
                where = first_nonfinite(self.model, self._loss, batch, state, _at(rng, noise), grads)
                what = f"the loss is {float(value)}; the first value not finite is {where}"
                behind = None if self.rng is None else self.rng.bit_generator.state
                return float(value), grads, Trouble(what, i, behind)
            self.carried = after if self.carry else None
            total += weight * float(value) if weight else 0.0
            grads = grads if weight == 1.0 else {name: weighted(g, weight) for name, g in grads.items()}
            sums = grads if i == 0 else {name: sums[name] + g for name, g in grads.items()}
        return total, sums, None

    def _state_before(self, share: Share, rng: np.random.Generator | None) -> Any:
        if not self.carry or getattr(share.batch, "starts", False):
            self.saved_carried = self.carried = None
        elif self.saved_carried is not None:
            _, like = self._loss(self.model, share.batch, None, copy.deepcopy(rng))
            self.carried, self.saved_carried = nested_like(like, self.replicas.part(self.saved_carried, share)), None
        return self.carried

    def _norm(self, grads: dict[str, Array]) -> float:
        """The global norm, once for gradients that nothing is added to."""
        if self._normed is None or self._normed[0] is not grads:
            self._normed = grads, global_norm(grads)
        return self._normed[1]

    def _update(self, grads: dict[str, Array], norm: float) -> None:
        if self.clip_norm is not None and norm > self.clip_norm:
            if self.clip_value is None:
                grads = scaled_to_norm(grads, norm, self.clip_norm)
            else:  # what is cut by value has no larger norm
                grads, _ = clip_by_global_norm(clip_by_value(grads, self.clip_value), self.clip_norm)
        elif self.clip_value is not None:
            grads = clip_by_value(grads, self.clip_value)
        self.optimizer.step(grads)
        if self.average is not None:
            self.average.update(self.model)

    def _skip(self, problem: str) -> None:
        self._skipped_in_a_row += 1
        if not self.skip_nonfinite or self._skipped_in_a_row > MOST_SKIPS:
            raise DivergedError(
                f"at step {self.step_number + 1}, {problem}; the model is as it was before that step. A smaller "
                "learning rate, or a smaller clip_norm, is what usually helps"
            )
        self.skipped += 1
        self.optimizer.steps += 1  # so that the schedule ends where the training does

    def _validated(self, steps: int | None) -> dict[str, float]:
        if self.validate is None or not self._time_to_look(steps):
            return {}
        metrics = self._metrics()
        first = next(iter(metrics.values()), math.nan)
        if math.isfinite(first) and (self.best is None or first < self.best[0]):
            self.best = first, self.step_number
        if self.average is not None:
            self.average.observe(first)
        if self.schedule is not None and hasattr(self.schedule, "observe"):
            self.schedule.observe(first)
        return metrics

    def _metrics(self) -> dict[str, float]:
        if self.validate is None:
            return {}
        came = self.replicas.comm.bcast(self.validate(self.validated))
        return {k: float(v) for k, v in (came if isinstance(came, Mapping) else {"val_loss": came}).items()}

    def _time_to_look(self, steps: int | None) -> bool:
        done = self.step_number
        if self.source.over or done == steps:
            return True
        if self.val_every is not None:
            return done % self.val_every == 0
        return steps is not None and done * LOOKS // steps > (done - 1) * LOOKS // steps


def _at(rng: np.random.Generator | None, state: Any) -> np.random.Generator | None:
    """A generator like this one, at an earlier state of it."""
    rng = copy.deepcopy(rng)
    if rng is not None:
        rng.bit_generator.state = state
    return rng


def weighted(g: Array, weight: float) -> Array:
    """g times its weight; zeros where that is 0, whatever g is."""
    return g * weight if weight else np.zeros_like(g)


def nested_like(nesting: Any, named: Mapping[str, Array]) -> Any:
    """The named leaves in place of those of a nesting. CheckpointError: other names, shapes or dtypes."""
    expected = {path: (np.shape(leaf), np.result_type(leaf)) for path, leaf in tree.named_leaves(nesting)}
    came = {path: (leaf.shape, leaf.dtype) for path, leaf in named.items()}
    if came != expected:
        raise CheckpointError(f"the carried state of the checkpoint is {came}, {expected} was expected")
    _, rebuild = tree.flatten(nesting)
    by_name = [(old, named[path]) for path, old in tree.named_leaves(nesting)]  # a dict may come in another order
    return rebuild([new if isinstance(old, np.ndarray) else new.item() for old, new in by_name])
