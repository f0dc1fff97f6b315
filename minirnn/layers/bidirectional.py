"""Bidirectional: one recurrent layer from the start, one from the end."""

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as np

from minirnn.layers.composite import Composite, as_layer
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer, State
from minirnn.layers.sizes import Size, concatenated
from minirnn.layers.time_reversed import TimeReversed
from minirnn.module import Array, Module
from minirnn.resets import Resets, parts_of

__all__ = ["Bidirectional"]

MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "concat": lambda ahead, back: np.concatenate([ahead, back], axis=2),
    "sum": lambda ahead, back: ahead + back,
    "mean": lambda ahead, back: 0.5 * (ahead + back),
    "mul": lambda ahead, back: ahead * back,
}


class Bidirectional(Composite):
    """Two recurrent layers over the same input, the second from each sequence's own end.

        y_t = merge(forward(x)_t, backward(x)_t)       concat, sum, mean or mul (the product)

    x: (T, B, I); outputs (T, B, H_forward + H_backward) with "concat", which joins the channels of images, and
    (T, B, H) otherwise. State: the pair (forward's, backward's); the backward one's final state is the one after the
    first element. (Schuster & Paliwal 1997, doi:10.1109/78.650093.)

    forward, backward: a Cell or a recurrent layer each; what comes as backward runs in time order by itself and is
    turned round here (a Cell becomes Recurrent(cell, reverse=True), a layer TimeReversed(layer)), unless it is one of
    these already. Or a function alone that makes one, which is called twice, so that either direction has parameters
    of its own:

        Bidirectional(lambda: cells.MGU(29, 100, rng=rng), merge="sum")

    ValueError: input sizes that differ; output sizes that differ, with another merge than "concat"; an unknown merge; a
    function that made the same thing twice. TypeError: neither cells, nor layers, nor a function alone.
    """

    def __init__(
        self,
        forward: Cell | RecurrentLayer | Callable[[], Cell | RecurrentLayer],
        backward: Cell | RecurrentLayer | None = None,
        *,
        merge: str = "concat",
        batch_first: bool = False,
        engine: str = "auto",
    ):
        if merge not in MERGES:
            raise ValueError(f"Bidirectional: merge={merge!r} came, one of {', '.join(MERGES)} was expected")
        ahead: Any = forward
        ahead, back = _made_twice(ahead) if backward is None else (ahead, backward)
        self.forward = as_layer("Bidirectional", ahead)
        self.backward = _from_the_end(back)
        if self.forward.input_size != self.backward.input_size:
            sizes = self.forward.input_size, self.backward.input_size
            raise ValueError(f"Bidirectional: input sizes {sizes[0]} and {sizes[1]} came, one was expected")
        sizes = self.forward.output_size, self.backward.output_size
        if merge == "concat":
            concatenated("Bidirectional", sizes)
        elif sizes[0] != sizes[1]:
            raise ValueError(
                f"Bidirectional: output sizes {sizes[0]} and {sizes[1]} came, merge={merge!r} expects one; "
                'merge="concat" takes both'
            )
        self.merge = merge
        self._set_call(batch_first, engine)

    def parts(self) -> Sequence[RecurrentLayer]:
        return self.forward, self.backward

    @property
    def output_size(self) -> Size:  # type: ignore[override]
        sizes = self.forward.output_size, self.backward.output_size
        return concatenated("Bidirectional", sizes) if self.merge == "concat" else sizes[0]

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        inner = self._named_first(engine)
        each = parts_of(resets, 2)
        ahead, final_ahead = self.forward.run(xs, state[0], lengths, rng, inner, each[0])
        back, final_back = self.backward.run(xs, state[1], lengths, rng, inner, each[1])
        return MERGES[self.merge](ahead, back), (final_ahead, final_back)

    def extra_repr(self) -> str:
        return "" if self.merge == "concat" else f"merge={self.merge!r}"


def _from_the_end(layer: Cell | RecurrentLayer) -> RecurrentLayer:
    if isinstance(layer, Cell):
        return Recurrent(layer, reverse=True)
    checked = as_layer("Bidirectional", layer)
    turned = isinstance(checked, TimeReversed) or (isinstance(checked, Recurrent) and checked.reverse)
    return checked if turned else TimeReversed(checked)


def _made_twice(make: Any) -> tuple[Any, Any]:
    """Two of what a function makes, with no parameter in common."""
    if isinstance(make, Module) or not callable(make):
        raise TypeError(
            f"Bidirectional: {type(make).__name__} came alone; the backward direction has parameters of its own: give "
            "it as the second argument, or a function that makes one, Bidirectional(lambda: GRUCell(29, 100, rng=rng))"
        )
    pair = make(), make()
    if isinstance(pair[0], Module) and isinstance(pair[1], Module):
        first = {id(module) for module in pair[0].modules()}
        if any(id(module) in first for module in pair[1].modules()):
            raise ValueError(
                "Bidirectional: the function made the same Module twice; a new one at each call was expected"
            )
    return pair
