"""What every pass over a sequence needs beside its maths: checked arrays, ragged lengths, truncation.

Lengths. A sequence of n steps in an array of T is run for n steps. From then on its state is held, its outputs are zero
and its padding is not looked at, whatever it holds. Going back, a held step therefore passes the carry on unchanged and
nothing else: no weight, input or output cotangent takes part in it.

Truncation. `truncate=k` cuts time into chunks of k steps, [0, k), [k, 2k), ..., and treats the state that enters a
chunk as a constant, which is how recurrent networks are trained on long text: the loss of a step reaches back to the
first step of its own chunk and no further, k steps at the most. The result is exactly the sum of the gradients of the
chunks, each run from the state that the one before left. With k >= T nothing is cut. (The other truncation, of Williams
& Peng 1990, doi:10.1162/neco.1990.2.4.490, lets every step reach back k steps and costs k times as much.)
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Sequence(NamedTuple):
    """Checked arguments of a forward pass. xs: (T, B, I), zero in the padding; inside: (T, B, 1) booleans."""

    params: dict[str, Array]
    xs: Array
    inside: Array
    hidden: int


def check_forward(
    where: str,
    params: Mapping[str, Array | None],
    xs: Array,
    state: Mapping[str, Array],
    lengths: Array | None,
    gates: int,
    projected: bool = False,
) -> Sequence:
    """Parameters of `gates` stacked gates, inputs, state (h and perhaps c) and lengths, held against each other.

    ValueError, TypeError: a name that is missing or unknown, another shape, or different dtypes.
    """
    given = {name: array for name, array in params.items() if array is not None}
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", *["weight_hr"] * projected]
    check_names(where, given, names, needed=names[:2])
    check_arrays(where, {**given, "xs": xs, **state})
    for name, axes in {"weight_ih": 2, "weight_hh": 2, "xs": 3}.items():
        array = xs if name == "xs" else given[name]
        if array.ndim != axes:
            raise ValueError(f"{where}: {name} has shape {array.shape}, {axes} axes were expected")
    (rows, inputs), (steps, batch, _) = given["weight_ih"].shape, xs.shape
    hidden, rest = divmod(rows, gates)
    if rest or not hidden:
        raise ValueError(f"{where}: weight_ih has {rows} rows, a multiple of its {gates} gates was expected")
    fed_back = given["weight_hr"].shape[0] if "weight_hr" in given else hidden
    shapes = {
        "weight_hh": (rows, fed_back),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
        "weight_hr": (fed_back, hidden),
        "xs": (steps, batch, inputs),
        "h": (batch, fed_back),
        "c": (batch, hidden),
    }
    check_shapes(where, {**given, "xs": xs, **state}, shapes)
    inside = mask(where, lengths, steps, batch)
    return Sequence(given, np.where(inside, xs, np.zeros((), xs.dtype)), inside, hidden)


def check_backward(where: str, truncate: int | None, came: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Cotangents must be shaped and typed as what they belong to, and truncate a positive number of steps."""
    for name, array in came.items():
        like = expected[name]
        if not isinstance(array, np.ndarray) or array.shape != like.shape or array.dtype != like.dtype:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{where}: {name} is {found}, {like.dtype} {like.shape} was expected")
    if truncate is not None and (not isinstance(truncate, int) or isinstance(truncate, bool) or truncate < 1):
        raise ValueError(f"{where}: truncate={truncate!r} came, a positive number of steps or None was expected")


def check_names(where: str, given: Mapping[str, Any], names: list[str], needed: list[str]) -> None:
    """ValueError unless all needed names and no unknown ones are given."""
    missing, unknown = [name for name in needed if name not in given], [name for name in given if name not in names]
    if missing or unknown:
        raise ValueError(
            f"{where}: params lacks {', '.join(missing) or 'nothing'}, and {', '.join(unknown) or 'none'} of it are "
            f"unknown; the names are {', '.join(names)}"
        )


def check_arrays(where: str, arrays: Mapping[str, Array]) -> None:
    """TypeError unless all are float (or complex) arrays of one dtype."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fc":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{where}: {name} is {kind}, a float array was expected")
    if len({array.dtype for array in arrays.values()}) > 1:
        found = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(f"{where}: one dtype was expected, {found} came; astype makes them one")


def check_pair(where: str, name: str, state: Any) -> tuple[Array, Array]:
    """An LSTM's (h, c); an array (B, ...) is none, not even one with B = 2."""
    if not isinstance(state, tuple) or len(state) != 2:
        raise TypeError(f"{where}: {name} is {type(state).__name__}, the pair (h, c) was expected")
    return state[0], state[1]


def check_shapes(where: str, arrays: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]]) -> None:
    for name, array in arrays.items():
        if name in expected and array.shape != expected[name]:
            raise ValueError(f"{where}: {name} has shape {array.shape}, {expected[name]} was expected")


def mask(where: str, lengths: Array | None, steps: int, batch: int) -> Array:
    """inside[t, b, 0]: whether step t belongs to sequence b. (T, B, 1) booleans."""
    if lengths is None:
        return np.ones((steps, batch, 1), bool)
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != (batch,):
        raise ValueError(
            f"{where}: lengths is {lengths.dtype} {lengths.shape}, integers of shape ({batch},) were expected"
        )
    if batch and not (lengths.min() >= 0 and lengths.max() <= steps):
        raise ValueError(f"{where}: lengths are {lengths.min()} to {lengths.max()}, xs has {steps} steps")
    return np.arange(steps)[:, None, None] < lengths[:, None]


def enters_chunk(t: int, truncate: int | None) -> bool:
    """Whether the state before step t is a constant under truncation; never the initial state."""
    return truncate is not None and t > 0 and t % truncate == 0
