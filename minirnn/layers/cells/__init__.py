"""The zoo: published recurrent cells, one family a file, each loaded when it is first asked for.

    cell = minirnn.cells.MGU(29, 100, rng=rng)
    layer = minirnn.Recurrent(cell)
    cell = minirnn.cells.make("mgu", 29, 100, rng=rng)        # by name, in any case
    minirnn.cells.names()                                     # ("ATR", "AntisymmetricRNN", ...)

Every file holds the reference, the equations, the step and the declaration. `minirnn cells` lists them.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import tree
from minirnn.layers.cells.registry import card
from minirnn.layers.recurrent import Cell

__all__ = ["Description", "describe", "get", "make", "names", "small"]

# file: the cells in it
FILES = {
    "antisymmetric": "AntisymmetricRNN GatedAntisymmetricRNN",
    "atr": "ATR",
    "bistable": "BR NBR",
    "cfc": "CfC",
    "cfn": "CFN",
    "chogru": "ChoGRU",
    "clockwork": "ClockworkRNN",
    "collins": "IntersectionRNN UGRNN",
    "convlstm": "ConvLSTM",
    "cornn": "coRNN",
    "fastgrnn": "FastGRNN FastRNN",
    "greff": "CIFG GreffLSTM",
    "indrnn": "IndRNN",
    "irnn": "IRNN",
    "janet": "JANET",
    "layernorm": "LayerNormGRU LayerNormLSTM",
    "lem": "LEM",
    "lightru": "LightRU",
    "ligru": "LiGRU",
    "lmu": "LMU",
    "lru": "LRU",
    "mclstm": "MCLSTM",
    "mgu": "MGU",
    "mingru": "MinGRU MinLSTM",
    "minimalrnn": "MinimalRNN",
    "miru": "MiRU1 MiRU2",
    "multiplicativelstm": "MultiplicativeLSTM",
    "mut": "MUT1 MUT2 MUT3",
    "nas": "NAS",
    "originallstm": "OriginalLSTM",
    "peepholelstm": "PeepholeLSTM",
    "phasedlstm": "PhasedLSTM",
    "qrnn": "QRNN",
    "ran": "RAN",
    "reslstm": "ResLSTM",
    "rglru": "RGLRU",
    "rhn": "RHN",
    "scrn": "SCRN",
    "sgrn": "SGRN",
    "sgu": "DSGU SGU",
    "sru": "SRU",
    "star": "STAR",
    "taugru": "TauGRU",
    "typed": "TGRU TLSTM TRNN",
    "unicornn": "UnICORNN",
    "wmclstm": "WMCLSTM",
    "xlstm": "mLSTM sLSTM",
}

_FILE_OF = {name: file for file, names in FILES.items() for name in names.split()}
_NAMES = {name.lower(): name for name in sorted(_FILE_OF, key=str.lower)}


def names() -> tuple[str, ...]:
    """The names of all cells, in alphabetical order."""
    return tuple(_NAMES.values())


def get(name: str) -> type[Cell]:
    """The class of a cell by its name, in any case. ValueError: there is none."""
    exact = _NAMES.get(name.lower())
    if exact is None:
        close = ", ".join(_NAMES[found] for found in get_close_matches(name.lower(), _NAMES, n=3))
        raise ValueError(f"no cell is called {name!r}; there is {close or ', '.join(names())}")
    found: type[Cell] = getattr(import_module(f"{__name__}.{_FILE_OF[exact]}"), exact)
    return found


def make(
    name: str,
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | None = None,
    dtype: DTypeLike = np.float32,
    **options: Any,
) -> Cell:
    """A cell by its name, in any case; options: what it takes beside. ValueError: there is no such cell."""
    cls: Any = get(name)
    made: Cell = cls(input_size, hidden_size, rng=rng, dtype=dtype, **options)
    return made


def small(name: str, *, rng: np.random.Generator | None = None, dtype: DTypeLike = np.float64) -> Cell:
    """A cell by its name, as small as its card says: what checks and tests take. ValueError: there is no such cell."""
    about = card(get(name))
    return make(name, *about.small, rng=rng, dtype=dtype, **about.options)


class Description(NamedTuple):
    """One line of the list of cells. state: its arrays and their shapes, without the batch; parameters: how many."""

    name: str
    year: int
    state: str
    parameters: int
    use: str


def describe(name: str, input_size: int, hidden_size: int) -> Description:
    """A cell at a size, or as its card builds it where its input is no vector (ConvLSTM). ValueError: no such cell."""
    about = card(get(name))
    fixed = isinstance(about.small[0], tuple)
    cell = small(name) if fixed else make(name, input_size, hidden_size)
    leaves = tree.named_leaves(cell.initial_state(1))
    state = ", ".join(f"{path or 'h'} {'x'.join(map(str, np.shape(leaf)[1:]))}" for path, leaf in leaves)
    use = f"{about.use} [at {about.small}]" if fixed else about.use
    return Description(get(name).__name__, about.year, state, cell.num_parameters(), use)


def __getattr__(name: str) -> Any:
    if name in _FILE_OF:
        return get(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILE_OF})
