"""What is to be written: a cell at several sizes, and what is common to all of them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.interop.source.start import Law, Recorder, law_of
from minirnn.layers import cells as zoo
from minirnn.layers.cell import DeclaredCell
from minirnn.layers.gru import GRUCell, gru_step
from minirnn.layers.lstm import LSTMCell, lstm_step
from minirnn.layers.recurrent import Cell
from minirnn.layers.rnn import RNNCell, rnn_step

__all__ = ["BASES", "Built", "What", "options_of", "what_of"]

BASES = ({"I": 3, "H": 8}, {"I": 5, "H": 8}, {"I": 3, "H": 12}, {"I": 6, "H": 20})
_CLASSIC: dict[str, type[Cell]] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}
_EQUATIONS = {RNNCell: rnn_step, LSTMCell: lstm_step, GRUCell: gru_step}


class Built(NamedTuple):
    """A cell of some size in float64; the laws that its parameters start by; buffers, which are not trained."""

    cell: Any
    laws: dict[str, Law | None]
    buffers: dict[str, Any]


class What(NamedTuple):
    """title: the class's name; text: its docstring; build: from (input_size, hidden_size); fixed: the only sizes that
    there are, or None."""

    title: str
    text: str
    build: Callable[[int, int], Built]
    fixed: tuple[int, int] | None


def what_of(what: Any, sizes: tuple[int, int] | None = None) -> What:
    """A cell class, a cell, a layer of one cell, or a name of the zoo, for all sizes or for these alone. TypeError,
    ValueError: it is none."""
    if isinstance(what, str):
        what = _CLASSIC.get(what.lower()) or zoo.get(what)
    if isinstance(what, type) and issubclass(what, Cell):
        return What(_title(what), _text(what), lambda i, h: _of_class(what, i, h, {}), sizes)
    cell = _cell_of(what)
    if not isinstance(cell.input_size, int):
        raise ValueError(f"{type(cell).__name__}: input_size={cell.input_size} came; a cell of vectors was expected")
    kind, options = type(cell), options_of(cell)
    own = (cell.input_size, cell.hidden_size)
    text = _text(kind)
    try:
        again = kind(*own, rng=np.random.default_rng(0), dtype=np.float64, **options)
        same = _shapes(again) == _shapes(cell)
    except (TypeError, ValueError):
        same = False
    if same:
        return What(_title(kind), text, lambda i, h: _of_class(kind, i, h, options), sizes)
    return What(_title(kind), text, lambda i, h: _as_it_is(cell), own)


def _text(kind: type[Cell]) -> str:
    own = _EQUATIONS.get(kind, kind).__doc__
    return inspect.cleandoc(own) if own and own != Cell.__doc__ else ""


def _title(kind: type[Cell]) -> str:
    return kind.__name__.removesuffix("Cell") if kind in _CLASSIC.values() else kind.__name__


def _cell_of(what: Any) -> Any:
    """The one cell of a layer or of anything else that holds one."""
    if isinstance(what, Cell):
        return what
    cells = [module for module in what.modules() if isinstance(module, Cell)] if hasattr(what, "modules") else []
    if len(cells) != 1:
        came = f"a {type(what).__name__} with {len(cells)} cells" if cells else f"a {type(what).__name__}"
        raise TypeError(f"{came} came; a Cell class, a cell, a layer of one cell, or a name of the zoo was expected")
    return cells[0]


def options_of(cell: Any) -> dict[str, Any]:
    """What the cell was made with beside its sizes, as far as it says."""
    if isinstance(cell, DeclaredCell):
        return {name: getattr(cell, name) for name in dict.fromkeys([*cell._further, *cell._options])}
    taken = ("self", "input_size", "hidden_size", "rng", "dtype")
    names = [name for name in inspect.signature(type(cell).__init__).parameters if name not in taken]
    found = {name: getattr(cell, name) for name in names if hasattr(cell, name)}
    if "bias" in names and "bias" not in found:
        found["bias"] = getattr(cell, "bias_ih", None) is not None
    return found


def _shapes(cell: Any) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in cell.state_dict().items()}


def _of_class(kind: Any, input_size: int, hidden_size: int, options: Mapping[str, Any]) -> Built:
    rng = Recorder(1)
    try:
        cell, other = (kind(input_size, hidden_size, rng=r, dtype=np.float64, **options) for r in (rng, Recorder(2)))
    except TypeError as error:
        raise TypeError(
            f"{kind.__name__}({input_size}, {hidden_size}, rng=..., dtype=...) fails: {error}; give a cell in place of "
            "its class"
        ) from error
    values, others = cell.parameters(frozen=True), other.parameters(frozen=True)
    laws = {name: law_of(value, others[name], rng.draws) for name, value in values.items()}
    return Built(cell, laws, _buffers(cell))


def _as_it_is(cell: Any) -> Built:
    cell = cell.astype(np.float64)
    return Built(cell, dict.fromkeys(cell.parameters(frozen=True)), _buffers(cell))


def _buffers(cell: Any) -> dict[str, Any]:
    trained = cell.parameters(frozen=True)
    return {name: np.array(value) for name, value in tree.named_leaves(cell) if name not in trained}
