"""TimeReversed: a recurrent layer that runs from the end."""

from typing import Any

from minirnn.layers.composite import Wrapper
from minirnn.layers.lengths import reversed_within
from minirnn.layers.recurrent import State
from minirnn.module import Array
from minirnn.resets import Resets

__all__ = ["TimeReversed"]


class TimeReversed(Wrapper):
    """Any recurrent layer, from each sequence's own end to its start.

        y = reverse(layer(reverse(x))),    reverse(x)_t = x_{n-1-t} for t < n, the sequence's length

    x: (T, B, I) -> (T, B, O), and y_t still belongs to x_t: it knows x_t and what follows. The final state is the one
    after the first element. Around a stack this turns the stack as a whole; Recurrent(cell, reverse=True) is the same
    for one cell. ValueError, TypeError: as_layer's, for what is no Cell and no recurrent layer.
    """

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        backwards = reversed_within(xs, lengths)
        turned = None if resets is None else resets.turned(lengths)
        outputs, final = self.layer.run(backwards, state, lengths, rng, self._named_first(engine), turned)
        return reversed_within(outputs, lengths), final
