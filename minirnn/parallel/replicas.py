"""Replicas: a training's copies on all ranks, kept one."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.module import Array, Module
from minirnn.parallel.agreement import DifferentRanksError, first, on_every_rank
from minirnn.parallel.communicator import Communicator
from minirnn.parallel.noise import Axes, StreamNoise, find_axes
from minirnn.parallel.parts import counts_differ, judged
from minirnn.parallel.shares import Reduction, Share

__all__ = ["Replicas", "Trouble"]

Grads = dict[str, Array]


class Trouble(NamedTuple):
    """A value that is not finite: what, in which batch of the step, and the rng's state behind that batch."""

    what: str
    batch: int
    rng_state: Any


class Replicas:
    """One rank's end of what the copies of a training do together. With one process every method hands back what came.

    reduction: what parts of a batch count. accumulates: whether a step has several batches.
    """

    def __init__(self, comm: Communicator, reduction: Reduction = "mean", accumulates: bool = False):
        self.comm, self.reduction = comm, reduction
        self.known = comm.size == 1  # whether it has been found out where the streams are in noise and states
        self._divides = (comm.size > 1 or accumulates) and reduction != "batches"
        self._judged: set[bool] = set()  # whether parts were seen to make the whole: where they count alike, and not
        self._axes = Axes((), {})
        self._buffer: Array | None = None

    @property
    def alone(self) -> bool:
        return self.comm.size == 1

    def broadcast(self, model: Module) -> None:
        """Rank 0's parameters and buffers, frozen ones too, into the model of every rank."""
        if not self.alone:
            model.load_state_dict(self.comm.bcast(model.state_dict() if self.comm.rank == 0 else {}))

    def compare(self, **parts: Any) -> None:
        """DifferentRanksError, which names rank and array, where nestings of arrays, numbers and strings differ."""
        if self.alone:
            return
        mine = {path: _digest(leaf) for path, leaf in tree.named_leaves(parts)}
        every = self.comm.gather(mine)
        for rank, other in enumerate(every):
            names = [path for path in every[0] | other if every[0].get(path) != other.get(path)]
            if names:
                raise on_every_rank(
                    DifferentRanksError(
                        f"the replicas differ: {names[0]} on rank {rank} is not that of rank 0"
                        f"{f', nor are {len(names) - 1} more' * (len(names) > 1)}; a loss that uses the rank, a clock "
                        "or randomness of its own can do that, and so can different processors or libraries"
                    )
                )

    # ------------------------------------------------------------------ a step
    def wants_whole(self, step: int) -> bool:
        """Whether whole batches are to be made at this step, to look at."""
        return not self.known or (not self.alone and _looks_again(step))

    def look(
        self, loss: Callable[..., Any], model: Module, share: Share, rng: np.random.Generator | None, step: int
    ) -> None:
        """From a whole batch, find out where the streams are, and see that the losses of parts make that of the whole.

        The first is for good where the batch has more than one stream; the second is done again where parts count
        differently for the first time, and at steps far between. ValueError: they do not.
        """
        batch = share.whole
        if not self._divides or batch is None or not hasattr(batch, "part") or batch.batch_size < 1:
            return
        if not self.known:
            self._axes, self.known = find_axes(loss, model, batch, rng), batch.batch_size > 1
        if counts_differ(batch, self.reduction) in self._judged and not _looks_again(step):
            return
        said = self._said(loss, model, batch, rng)
        if said:
            raise on_every_rank(ValueError(said))
        if said is not None:
            self._judged.add(counts_differ(batch, self.reduction))

    def _said(self, loss: Callable[..., Any], model: Module, batch: Any, rng: np.random.Generator | None) -> str | None:
        """What rank 0 judges. One process need not divide its batches: a loss that takes no part is not judged."""
        if not self.alone:
            return first(self.comm, lambda: judged(loss, model, batch, rng, self._axes, self.reduction))
        try:
            return judged(loss, model, batch, rng, find_axes(loss, model, batch, rng), self.reduction)
        except Exception:
            return ""

    def begin(self, rng: np.random.Generator | None, share: Share) -> np.random.Generator | None:
        """What the loss draws its noise from: from the same bits as rng, but this share's part alone."""
        if self.alone or rng is None:
            return rng
        noise = StreamNoise(rng.bit_generator, self._axes.noise)
        noise.begin(share.streams, share.of)
        return noise

    def sum(self, loss: float, grads: Grads, trouble: Trouble | None) -> tuple[float, Grads, Trouble | None]:
        """Loss and gradients added up over the ranks; the trouble of the earliest batch and lowest rank, if any.

        One Allreduce of one contiguous buffer: the gradients, and the loss as two numbers, so that float32 keeps its
        digits. A rank in trouble makes the loss nan for all.
        """
        if self.alone:
            return loss, grads, trouble
        buffer = self._filled(grads)
        high = np.float32(loss)
        buffer[-2:] = np.nan if trouble else high, 0.0 if trouble else loss - float(high)
        self.comm.sum(buffer)
        if np.isnan(buffer[-2]):
            troubles = [
                Trouble(f"rank {rank}: {one.what}", one.batch, one.rng_state)
                for rank, one in enumerate(self.comm.gather(trouble))
                if one is not None
            ]
            if troubles:
                return float("nan"), grads, min(troubles, key=lambda one: one.batch)
        total = {name: view.astype(grads[name].dtype, copy=False) for name, view in _views(buffer, grads)}
        return float(buffer[-2]) + float(buffer[-1]), total, None

    def _filled(self, grads: Grads) -> Array:
        size = sum(g.size for g in grads.values()) + 2
        dtype = np.result_type(*grads.values()) if grads else np.dtype(np.float64)
        if self._buffer is None or self._buffer.size != size or self._buffer.dtype != dtype:
            self._buffer = np.empty(size, dtype)
        for name, view in _views(self._buffer, grads):
            view[...] = grads[name]
        return self._buffer

    def stop(self, reason: str | None, interrupted: bool) -> tuple[str | None, bool]:
        """Why the training ends after this step, and whether Ctrl-C came, on any rank."""
        if self.alone:
            return reason, interrupted
        if not self.comm.any(reason is not None or interrupted):
            return None, False
        said = self.comm.gather((reason, interrupted))
        return next((why for why, _ in said if why is not None), None), any(came for _, came in said)

    # ------------------------------------------------------------------ the carried state
    def whole(self, named: Mapping[str, Array], share: Share) -> dict[str, Array]:
        """The state of all streams, by name, from each rank's own: what any number of ranks can go on from."""
        if self.alone:
            return dict(named)
        parts = self.comm.gather((share.streams.start, share.weight > 0, dict(named)))
        # A rank without a stream stands in for another: two of them then hold the same one.
        ordered = [part for _, mine, part in sorted(parts, key=lambda one: one[0]) if mine]
        return {name: _joined([part[name] for part in ordered], self._axes.state.get(name)) for name in named}

    def part(self, named: Mapping[str, Array], share: Share) -> dict[str, Array]:
        """This share's part of such a state."""
        if self.alone:
            return dict(named)
        cut = {}
        for name, array in named.items():
            axis = self._axes.state.get(name)
            cut[name] = array if axis is None else array[(slice(None),) * axis + (share.streams,)]
        return cut


def _looks_again(step: int) -> bool:
    """At steps 8, 64, 512, ...: what is seen of the first batches may not be so later."""
    return step > 6 and (step + 1).bit_count() == 1 and (step + 1).bit_length() % 3 == 1


def _views(buffer: Array, grads: Grads) -> Iterator[tuple[str, Array]]:
    """Each gradient's place in the buffer."""
    start = 0
    for name, g in grads.items():
        yield name, buffer[start : start + g.size].reshape(g.shape)
        start += g.size


def _joined(parts: Sequence[Array], axis: int | None) -> Array:
    return parts[0] if axis is None else np.concatenate(parts, axis)


def _digest(leaf: Any) -> str:
    if not isinstance(leaf, np.ndarray):
        return repr(leaf)
    whole = hashlib.blake2b(f"{leaf.dtype.str} {leaf.shape} ".encode(), digest_size=16)
    whole.update(np.ascontiguousarray(leaf).tobytes())
    return whole.hexdigest()
