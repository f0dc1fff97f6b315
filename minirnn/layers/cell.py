"""@cell: a recurrent cell from a function of (p, state, x) and the symbolic shapes of its parameters."""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.layers.recurrent import Cell, check_positive
from minirnn.module import Array, Parameter

__all__ = ["DeclaredCell", "cell"]

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
Shape = Sequence[str | int]
Initialiser = Callable[[np.random.Generator, tuple[int, ...], Any], Array]

_SIZE = re.compile(r"(?:(\d+)\s*\*\s*)?([A-Za-z]\w*)")


class DeclaredCell(Cell):
    """What `@cell` makes: a Cell built from (input_size, hidden_size, *, rng, dtype) and further sizes by keyword."""

    _shapes: Mapping[str, tuple["_Size", ...]]
    _states: Mapping[str, tuple["_Size", ...]]
    _initialisers: Mapping[str, Initialiser]
    _further: tuple[str, ...]
    _function: Step
    State: Any = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
        **sizes: int,
    ):
        name = type(self).__name__
        check_positive(name, input_size=input_size, hidden_size=hidden_size, **sizes)
        if set(sizes) != set(self._further):
            came, expected = ", ".join(sizes) or "none", ", ".join(self._further) or "none"
            raise TypeError(f"{name}: further sizes {came} came, {expected} expected (by keyword)")
        self.input_size, self.hidden_size = input_size, hidden_size
        for what, size in sizes.items():
            setattr(self, what, size)
        rng = rng or np.random.default_rng()
        for what, symbols in self._shapes.items():
            shape = self._resolve(symbols)
            draw = self._initialisers.get(what) or init.torch_default(hidden_size)
            value = np.asarray(draw(rng, shape, dtype))
            if value.shape != shape:
                raise ValueError(f"{name}: the initialiser of {what} gave shape {value.shape}, {shape} was expected")
            setattr(self, what, Parameter(value.astype(dtype, copy=False)))

    def _resolve(self, symbols: tuple["_Size", ...]) -> tuple[int, ...]:
        sizes: dict[str, Any] = {"input": self.input_size, "hidden": self.hidden_size}
        sizes |= {what: getattr(self, what) for what in self._further}
        return tuple([n * (1 if s is None else int(sizes[s])) for n, s in symbols])

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> Any:
        if not self._states:
            return super().initial_state(batch_size, dtype)
        shapes = [(batch_size, *self._resolve(symbols)) for symbols in self._states.values()]
        return self.State(*[np.zeros(shape, dtype or self.dtype) for shape in shapes])

    def step(self, state: Any, x: Any) -> tuple[Any, Any]:
        result = type(self)._function(self, state, x)
        if self._states and isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], tuple):
            new, output = result
            if len(new) != len(self._states):
                names = ", ".join(self._states)
                raise TypeError(
                    f"{type(self).__name__}: a state of {len(new)} arrays came back, ({names}) was expected"
                )
            return self.State(*new), output
        return result

    def extra_repr(self) -> str:
        return ", ".join([super().extra_repr(), *(f"{what}={getattr(self, what)}" for what in self._further)])


_Size = tuple[int, str | None]  # a multiple of a named size, or a number alone


def cell(
    *,
    state_: Sequence[str] | Mapping[str, Shape] | None = None,
    init_: Mapping[str, Initialiser] | None = None,
    **parameters: Shape,
) -> Callable[[Step], type[DeclaredCell]]:
    """Make a Cell class of a function (p, state, x) -> (state, output), its parameters declared by symbolic shape.

        @minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",))
        def tanh_cell(p, h, x):
            h = np.tanh(x @ p.w.T + h @ p.u.T + p.b)
            return h, h

        layer = minirnn.Recurrent(tanh_cell(29, 100, rng=rng))

    np is autograd.numpy; x: (B, input), and p.w is the array itself. A size is "hidden", "input", an integer, a
    multiple as in "4*hidden", or any further name, which is then given at construction and is an attribute of p.

    state_: names of several state arrays, ("h", "c") for (B, hidden) each, or a dict of shapes without the batch,
    {"h": ("hidden",), "a": ("hidden", "hidden")}; the function gets a NamedTuple and may return a plain tuple. Without
    it the state is one (B, hidden) array. init_: initialisers by parameter (minirnn.init); the others start as
    U(-k, k), k = 1 / sqrt(hidden). A cell of a module's top level can be pickled.

    ValueError: a name that Cell needs itself, an unreadable size. TypeError: an unknown option.
    """
    options = [name for name in parameters if name.endswith("_")]
    if options:
        raise TypeError(f"cell: no option is called {', '.join(options)}; there are state_ and init_")
    if isinstance(state_, str):
        raise TypeError(f"cell: state_={state_!r} came; a tuple of names was expected, as in state_=({state_!r},)")
    shapes = {name: _sizes(name, shape) for name, shape in parameters.items()}
    given = state_ if isinstance(state_, Mapping) else dict.fromkeys(state_ or (), ("hidden",))
    states = {name: _sizes(f"state_ {name}", shape) for name, shape in given.items()}
    symbols = [symbol for sizes in [*shapes.values(), *states.values()] for _, symbol in sizes if symbol]
    further = tuple(dict.fromkeys(symbol for symbol in symbols if symbol not in ("input", "hidden")))
    taken = {"input_size", "hidden_size", "rng", "State", *(name for name in dir(Cell) if not name.startswith("_"))}
    clashes = [name for name in [*shapes, *further] if name in taken or name.startswith("_")]
    clashes += [name for name in further if name in shapes]
    if clashes:
        raise ValueError(
            f"cell: the name {', '.join(clashes)} is taken; choose others than {', '.join(sorted(taken))}, and names "
            "without a leading underscore"
        )
    strangers = [name for name in init_ or {} if name not in shapes]
    if strangers:
        raise ValueError(f"cell: init_ names {', '.join(strangers)}; the parameters are {', '.join(shapes) or 'none'}")

    def declare(function: Step) -> type[DeclaredCell]:
        inside = {"__module__": function.__module__, "__qualname__": function.__qualname__, "__doc__": function.__doc__}
        made: Any = type(
            function.__name__,
            (DeclaredCell,),
            {
                **inside,
                "_shapes": shapes,
                "_states": states,
                "_initialisers": dict(init_ or {}),
                "_further": further,
                "_function": staticmethod(function),
            },
        )
        if states:
            names = list(states)
            state: Any = namedtuple("State", names)  # type: ignore[misc]
            state.__module__, state.__qualname__ = function.__module__, f"{function.__qualname__}.State"
            made.State = state
        return cast(type[DeclaredCell], made)

    return declare


def _sizes(name: str, shape: Shape) -> tuple[_Size, ...]:
    """("4*hidden", "input", 3) as ((4, "hidden"), (1, "input"), (3, None))."""
    if isinstance(shape, (str, int)):
        raise TypeError(f'cell: {name}={shape!r} came; a tuple of sizes was expected, as in ("hidden",)')
    return tuple([_size(name, size) for size in shape])


def _size(name: str, size: str | int) -> _Size:
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size, None
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None or match[1] == "0":
        raise ValueError(
            f'cell: {name} has the size {size!r}; "hidden", "4*hidden", or a positive integer was expected'
        )
    return int(match[1] or 1), match[2]
