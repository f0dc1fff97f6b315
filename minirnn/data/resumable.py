"""Iterators whose place is one number."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np

__all__ = ["Resumable"]

Item = TypeVar("Item", covariant=True)


class Resumable(Iterator[Item]):
    """An iterator whose n-th item depends on n, its settings and its seed alone: to resume, set those again.

    position: items given so far. end: how many there are, None: no end. per_epoch: how many make a pass over the data,
    None: there are no passes. settings: what the items depend on; what takes long to work out is a function, called
    when a state is made or taken up. seed: made from the rng it was given, once, so that item n is drawn by
    default_rng([seed, ...]) without the items before it; None: nothing is drawn.
    """

    def __init__(
        self,
        *,
        end: int | None,
        rng: np.random.Generator | None,
        settings: Mapping[str, int | str | Callable[[], int]],
        per_epoch: int | None = None,
    ):
        self.position = 0
        self.end = end
        self.per_epoch = per_epoch
        self.seed = None if rng is None else int(rng.integers(2**63))
        self._settings = settings
        self._worked_out: dict[str, int | str] | None = None

    @property
    def settings(self) -> dict[str, int | str]:
        """What has to be the same when a state is taken up."""
        if self._worked_out is None:
            self._worked_out = {name: value() if callable(value) else value for name, value in self._settings.items()}
        return self._worked_out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_settings": self.settings}

    @abstractmethod
    def item(self, n: int) -> Item:
        """Item n, from 0, whatever the position is."""

    def check_end(self) -> None:
        """StopIteration where all items have been given."""
        if self.end is not None and self.position >= self.end:
            raise StopIteration

    def __next__(self) -> Item:
        self.check_end()
        item = self.item(self.position)
        self.position += 1
        return item

    def start_at(self, position: int) -> Self:
        """Go on with item `position`; returns self. ValueError: before the first or after the last."""
        last = "any" if self.end is None else self.end
        if not _whole(position):
            raise TypeError(f"start_at: position={position!r} came, an integer was expected")
        if position < 0 or (self.end is not None and position > self.end):
            raise ValueError(f"start_at: position={position} came, 0 to {last} was expected")
        self.position = int(position)
        return self

    def state_dict(self) -> dict[str, int | str | None]:
        """The position, the seed, and the settings to compare with; integers and names, so that JSON can hold them."""
        return {"position": self.position, "seed": self.seed, **self.settings}

    def load_state_dict(self, state: Any) -> None:
        """Go on exactly as the iterator whose state_dict() this is; what it was made with has to be the same.

        ValueError: other settings or data, or a position out of range; nothing is changed then.
        """
        if not isinstance(state, dict) or state.keys() != {"position", "seed", *self.settings}:
            came = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                f"load_state_dict: {came} came, {', '.join(['position', 'seed', *self.settings])} were expected: "
                f"no state of {type(self).__name__}"
            )
        for name, mine in self.settings.items():
            if type(state[name]) is not type(mine) or state[name] != mine:
                raise ValueError(
                    f"load_state_dict: {name}={state[name]!r} came, this {type(self).__name__} has {name}={mine!r}; to "
                    "resume, make it from the same data with the same options"
                )
        seed = state["seed"]
        if (seed is None) != (self.seed is None):
            raise ValueError(
                f"load_state_dict: a state {'without' if seed is None else 'with'} a seed came; "
                f"{'leave out' if seed is None else 'give'} rng= where this {type(self).__name__} is made"
            )
        if seed is not None and not (_whole(seed) and 0 <= seed < 2**63):
            raise ValueError(f"load_state_dict: seed={seed!r} came, an integer from 0 to 2**63 - 1 was expected")
        if not _whole(state["position"]):
            raise ValueError(f"load_state_dict: position={state['position']!r} came, an integer was expected")
        self.start_at(state["position"])
        self.seed = seed


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
