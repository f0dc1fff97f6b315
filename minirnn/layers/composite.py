"""What layers made of recurrent layers share: Wrapper, around one, and Composite, of several."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from minirnn.engines import check_engine_name
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer, State
from minirnn.layers.sizes import Size

__all__ = ["Composite", "Wrapper", "as_layer"]


def as_layer(name: str, layer: Cell | RecurrentLayer) -> RecurrentLayer:
    """A layer as it is, a Cell as Recurrent(cell). TypeError: neither. ValueError: batch_first inside."""
    if isinstance(layer, Cell):
        return Recurrent(layer)
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"{name}: {type(layer).__name__} came, a Cell or a recurrent layer was expected")
    if layer.batch_first:
        raise ValueError(f"{name}: batch_first belongs to the outermost layer, not to {type(layer).__name__} inside")
    return layer


class _Outer(RecurrentLayer):
    """A layer around others: an engine named inside wins over one named outside."""

    def _set_call(self, batch_first: bool, engine: str) -> None:
        self.batch_first, self.engine = batch_first, check_engine_name(engine)

    def _named_first(self, engine: str) -> str:
        """The engine for what is inside: this layer's own where it names one."""
        return self.engine if self.engine != "auto" else engine


class Wrapper(_Outer):
    """A layer around one: sizes and state are those of `layer`, unless the wrapper says otherwise."""

    layer: RecurrentLayer

    def __init__(self, layer: Cell | RecurrentLayer, *, batch_first: bool = False, engine: str = "auto"):
        self.layer = as_layer(type(self).__name__, layer)
        self._set_call(batch_first, engine)

    @property
    def input_size(self) -> Size:  # type: ignore[override]
        return self.layer.input_size

    @property
    def output_size(self) -> Size:  # type: ignore[override]
        return self.layer.output_size

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self.layer.initial_state(batch_size, dtype)

    def batch_axes(self) -> Any:
        return self.layer.batch_axes()


class Composite(_Outer):
    """A layer of several: its state is the tuple of theirs, in the order of `parts()`."""

    def parts(self) -> Sequence[RecurrentLayer]:
        """The layers that it is made of."""
        raise NotImplementedError

    @property
    def input_size(self) -> Size:  # type: ignore[override]
        return self.parts()[0].input_size

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return tuple([layer.initial_state(batch_size, dtype) for layer in self.parts()])

    def batch_axes(self) -> Any:
        return tuple([layer.batch_axes() for layer in self.parts()])
