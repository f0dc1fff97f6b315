"""Updates in native code: all parameters of one dtype and one set of options in one call."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn import tier
from minirnn.optim.noted import Job, Noted, noted

__all__ = ["Natively"]


class _Known(NamedTuple):
    """What is made of an `update` for options (kept, so that no others take their place) and a dtype."""

    options: Any
    noted: Noted | None
    run: Callable[..., None] | None


class Natively:
    """One rule's native updates, kept from one step to the next."""

    def __init__(self) -> None:
        self._known: dict[Any, _Known] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Natively, ()

    def update(self, update: Callable[..., None], jobs: list[Job]) -> list[Job]:
        """Make those updates for which there is native code; the other jobs."""
        if not getattr(update, "entry_by_entry", False):
            return jobs
        left, calls = list[Job](), dict[Any, tuple[Any, Any, list[Any]]]()
        for job in jobs:
            p, g, slots, lr, options, t = job
            same = id(options), p.dtype, lr, t
            found = calls.get(same)
            if found is None:
                known = self._found(update, job)
                numbers = known.noted.numbers(lr, t) if known.noted is not None and known.run is not None else None
                found = calls[same] = known.run, numbers, []
            if found[0] is None or not p.flags.carray:  # written to without another look: its own, in one piece
                left.append(job)
                continue
            if type(g) is not np.ndarray or not (g.flags.c_contiguous and g.flags.aligned):
                g = np.require(g, None, ("C", "A"))
            found[2].append((p, g, *slots.values()))
        for run, numbers, arrays in calls.values():
            if arrays:
                run(arrays, numbers)
        return left

    def _found(self, update: Callable[..., None], job: Job) -> _Known:
        entrywise, key = tier.kernel("entrywise", job.p.dtype), (id(job.options), job.p.dtype)
        if entrywise is None:
            return _Known(None, None, None)
        known = self._known.get(key)
        if known is None or (known.noted is not None and not known.noted.always):
            notes = noted(update, job)
            run = None if notes is None else entrywise(notes.steps, notes.results, job.p.dtype)
            known = self._known[key] = _Known(job.options, notes, run)
        return known
