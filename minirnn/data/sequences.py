"""Sequences from arrays, with a class or values to be predicted from each."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from minirnn.checks import as_integers
from minirnn.data.batch import IGNORED, Batch, pad
from minirnn.module import Array

__all__ = ["Sequences"]


class Sequences:
    """N sequences and their targets: classification where the targets are integers, regression where they are floats.

    xs: (N, T, F) floats, or a list of N arrays, (T_n, F) floats or (T_n,) tokens.
    targets: one for each sequence, (N,) integers, (N,) or (N, O) floats; with per_step one for each step, a list of N
    arrays, (T_n,) integers or (T_n, O) floats. Float targets take the float dtype of xs.
    classes: how many there are; left out, the largest target + 1.

    input_size: F, or for tokens the largest + 1. output_size: the number of classes, or O.

    TypeError: other dtypes. ValueError: empty or non-finite arrays, shapes that do not belong together, a class out of
    range; each named by its sequence.
    """

    def __init__(self, xs: Any, targets: Any, *, per_step: bool = False, classes: int | None = None):
        self.xs = [_checked_input(n, np.asarray(x)) for n, x in enumerate(xs)]
        if not self.xs:
            raise ValueError("Sequences: no sequences came")
        if len({(x.dtype, x.shape[1:]) for x in self.xs}) > 1:
            kinds = sorted({f"{x.dtype} (steps, *{x.shape[1:]})" for x in self.xs})
            raise ValueError(f"Sequences: xs differ among themselves: {', '.join(kinds)}; one kind was expected")
        self.lengths: Array = np.array([len(x) for x in self.xs], np.int64)
        tokens = self.xs[0].ndim == 1
        self.input_size = 1 + int(max(x.max() for x in self.xs)) if tokens else self.xs[0].shape[1]
        if len(targets) != len(self.xs):
            raise ValueError(f"Sequences: {len(targets)} targets came for {len(self.xs)} sequences")
        self.per_step = per_step
        dtype = np.dtype(np.float32) if tokens else self.xs[0].dtype
        made = [np.asarray(target) for target in targets]
        self.targets = [_checked_target(n, made[n], made[0], dtype, per_step) for n in range(len(made))]
        for n, target in enumerate(self.targets):
            if per_step and len(target) != len(self.xs[n]):
                raise ValueError(f"Sequences: sequence {n} has {len(self.xs[n])} steps and {len(target)} targets")
        if self.targets[0].dtype.kind == "f":
            if classes is not None:
                raise ValueError(f"Sequences: classes={classes} came with float targets; leave it out, or use integers")
            self.output_size = self.targets[0].shape[-1]
        else:
            self.output_size = _checked_classes(self.targets, classes)

    def __len__(self) -> int:
        return len(self.xs)

    def __repr__(self) -> str:
        what = "classification" if self.targets[0].dtype.kind == "i" else "regression"
        return f"Sequences({len(self)} of them, {what}, {self.input_size} in, {self.output_size} out)"

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """The sequences of these indices, in this order."""
        indices = as_integers("batch: indices", indices)
        inputs, lengths = pad([self.xs[n] for n in indices])
        chosen = [self.targets[n] for n in indices]
        if not self.per_step:
            return Batch(inputs, np.stack(chosen), lengths)
        return Batch(inputs, pad(chosen, IGNORED if chosen[0].dtype.kind == "i" else 0)[0], lengths)

    def subset(self, indices: Sequence[int] | Array) -> Self:
        """These sequences alone, not copied."""
        indices = as_integers("subset: indices", indices)
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part.xs, part.targets = [self.xs[n] for n in indices], [self.targets[n] for n in indices]
        part.lengths = self.lengths[indices]
        return part


def _checked_input(n: int, x: Array) -> Array:
    features = x.ndim == 2 and x.dtype.kind == "f"
    if not features and not (x.ndim == 1 and x.dtype.kind in "iu"):
        raise TypeError(
            f"Sequences: sequence {n} is {x.dtype} {x.shape}; (steps, features) floats, or (steps,) tokens, were "
            "expected (x[:, None] makes one feature, astype floats)"
        )
    if not x.size:
        raise ValueError(f"Sequences: sequence {n} is empty: {x.shape}")
    if features and not np.isfinite(x).all():
        step = int(np.argmin(np.isfinite(x).all(axis=1)))
        raise ValueError(f"Sequences: sequence {n} is not finite at step {step}: {x[step]}")
    if not features and x.min() < 0:
        raise ValueError(f"Sequences: sequence {n} holds token {x.min()}, 0 or more was expected")
    return x if features else x.astype(np.int64)


_TARGET_AXES = {("i", True): (1,), ("f", True): (2,), ("i", False): (0,), ("f", False): (0, 1)}


def _checked_target(n: int, target: Array, first: Array, dtype: Any, per_step: bool) -> Array:
    kind = "f" if first.dtype.kind == "f" else "i"
    if target.dtype.kind not in ("f" if kind == "f" else "iu"):
        raise TypeError(
            f"Sequences: target {n} is {target.dtype}, target 0 {first.dtype}; integers or floats were expected, the "
            "same throughout"
        )
    if target.ndim not in _TARGET_AXES[kind, per_step] or target.shape[per_step:] != first.shape[per_step:]:
        each = "step (per_step=True)" if per_step else "sequence (per_step=False)"
        raise ValueError(
            f"Sequences: target {n} has shape {target.shape}, target 0 {first.shape}; one integer, or one or O floats, "
            f"the same throughout, were expected for each {each}"
        )
    if kind == "i":
        return target.astype(np.int64)
    if not np.isfinite(target).all():
        raise ValueError(f"Sequences: target {n} is not finite")
    return (target if target.ndim else target[None]).astype(dtype)


def _checked_classes(targets: list[Array], classes: int | None) -> int:
    lowest, highest = min(int(target.min()) for target in targets), max(int(target.max()) for target in targets)
    count = highest + 1 if classes is None else classes
    if lowest < 0 or highest >= count:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"Sequences: class {wrong} came, 0 to {count - 1} were expected")
    return count
