"""Weights under PyTorch's names: mappings of plain arrays, without importing torch.

layer = minirnn.LSTM(29, 100, num_layers=2)
load_torch_state_dict(layer, module.state_dict())        # a torch.nn.LSTM(29, 100, num_layers=2)
module.load_state_dict({k: torch.from_numpy(v) for k, v in torch_state_dict(layer).items()})
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.checks import as_array
from minirnn.layers import Cell, CellStack, Embedding, GRUCell, LayerNorm, Linear, LSTMCell, RNNCell
from minirnn.module import Array, Module

__all__ = ["load_torch_state_dict", "torch_state_dict"]

_SAME_NAMES = (RNNCell, LSTMCell, GRUCell, Linear, Embedding, LayerNorm)


def torch_state_dict(layer: Module) -> dict[str, Array]:
    """The layer's arrays (copies) under PyTorch's names: weight_ih_l0, weight_hh_l0_reverse, weight_hr_l0, ...

    layer: RNN, LSTM, GRU, their cells, Linear, Embedding or LayerNorm. TypeError: any other.
    """
    state = layer.state_dict()
    return {torch_name: state[path] for torch_name, path in _paths(layer).items()}


def load_torch_state_dict(layer: Module, mapping: Mapping[str, Any]) -> None:
    """Write arrays that stand under PyTorch's names into the layer, in place; nothing is written unless all of it fits.

    The arrays may be anything that NumPy reads, CPU tensors too. TypeError: a layer that PyTorch has no twin of.
    ValueError: lists the names that are missing or unexpected, or the arrays of another shape or dtype.
    """
    paths, what = _paths(layer), f"load_torch_state_dict: {type(layer).__name__}"
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{what}: a {type(mapping).__name__} came, a mapping of names to arrays was expected")
    missing = [name for name in paths if name not in mapping]
    unexpected = [name for name in mapping if name not in paths]
    if missing or unexpected:
        raise ValueError(
            f"{what}: missing {', '.join(missing) or 'none'}; unexpected {', '.join(unexpected) or 'none'}"
        )
    arrays, own = {name: np.asarray(as_array(name, mapping[name])) for name in paths}, layer.state_dict()
    wrong = [
        f"{name} ({path}): {arrays[name].dtype} {arrays[name].shape} came, {own[path].dtype} {own[path].shape} expected"
        for name, path in paths.items()
        if (arrays[name].shape, arrays[name].dtype) != (own[path].shape, own[path].dtype)
    ]
    if wrong:
        whose = next((_kind(array) for name, array in arrays.items() if name.startswith("weight_hh")), "")
        raise ValueError("\n  ".join([f"{what}: the arrays do not fit{whose}:", *wrong]))
    layer.load_state_dict({path: arrays[name] for name, path in paths.items()})


def _kind(hh: Array) -> str:
    """Whose recurrent weights (gates * H, H) these are, in brackets; nothing where they are no twin's."""
    gates = hh.shape[0] // hh.shape[1] if hh.ndim == 2 and hh.shape[1] and not hh.shape[0] % hh.shape[1] else 0
    return {1: " (they are an RNN's)", 3: " (they are a GRU's)", 4: " (they are an LSTM's)"}.get(gates, "")


def _paths(layer: Module) -> dict[str, str]:
    """PyTorch's name -> our dotted path."""
    if isinstance(layer, _SAME_NAMES):
        return {name: name for name in layer.state_dict()}
    if not isinstance(layer, CellStack):
        known = ", ".join(["RNN", "LSTM", "GRU", *(cls.__name__ for cls in _SAME_NAMES)])
        raise TypeError(f"{type(layer).__name__} came, a layer that PyTorch has too was expected: {known}")
    directions = 1 + layer.bidirectional
    cells = [(path, cell) for path, cell in layer.named_modules() if isinstance(cell, Cell)]
    return {
        f"{name}_l{i // directions}{'_reverse' if i % directions else ''}": f"{path}.{name}"
        for i, (path, cell) in enumerate(cells)
        for name in cell.state_dict()
    }
