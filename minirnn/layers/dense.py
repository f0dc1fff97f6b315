"""DenselyConnected: every recurrent layer sees all that lies below it."""

from collections.abc import Sequence
from typing import Any

import autograd.numpy as np

from minirnn.layers.composite import Composite, as_layer
from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.layers.sizes import Size, concatenated
from minirnn.module import Array
from minirnn.padding import only_inside
from minirnn.resets import Resets, parts_of

__all__ = ["DenselyConnected"]


class DenselyConnected(Composite):
    """Recurrent layers L_0, L_1, ..., each of which sees the input and the outputs of all layers below it.

        h_i = L_i([x; h_0; ...; h_{i-1}])
        y   = [x; h_0; ...; h_n]                        [;] joins features, or the channels of images

    x: (T, B, I); h_i: (T, B, H_i), and layer i takes I + H_0 + ... + H_{i-1} features; outputs
    (T, B, I + H_0 + ... + H_n), as those of a DenseNet's block (Huang et al. 2017, arXiv:1608.06993; with bidirectional
    LSTMs Ding et al. 2018, arXiv:1802.00889). The last layer's alone are outputs[..., -H_n:]. State: the tuple of the
    layers' states. Cells may be given in place of layers.

    ValueError: no layers, or a layer that takes another size. TypeError: something else than cells and recurrent
    layers.
    """

    def __init__(self, layers: Sequence[Cell | RecurrentLayer], *, batch_first: bool = False, engine: str = "auto"):
        if not layers:
            raise ValueError("DenselyConnected: no layers came, at least one was expected")
        self.layers = tuple([as_layer("DenselyConnected", layer) for layer in layers])
        for i, layer in enumerate(self.layers):
            below = self._size_below(i)
            if layer.input_size != below:
                raise ValueError(
                    f"DenselyConnected: the input_size of layers.{i} ({type(layer).__name__}) is {layer.input_size}; "
                    f"{below} was expected, the size of the input and of all outputs below it"
                )
        self._size_below(len(self.layers))
        self._set_call(batch_first, engine)

    def _size_below(self, i: int) -> Size:
        return concatenated("DenselyConnected", [self.input_size, *(layer.output_size for layer in self.layers[:i])])

    def parts(self) -> Sequence[RecurrentLayer]:
        return self.layers

    @property
    def output_size(self) -> Size:  # type: ignore[override]
        return self._size_below(len(self.layers))

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        seen, finals = only_inside(xs, lengths), []
        for layer, begun, cut in zip(self.layers, state, parts_of(resets, len(state)), strict=True):
            layer._check(seen)
            outputs, final = layer.run(seen, begun, lengths, rng, self._named_first(engine), cut)
            seen = np.concatenate([seen, outputs], axis=2)
            finals.append(final)
        return seen, tuple(finals)
