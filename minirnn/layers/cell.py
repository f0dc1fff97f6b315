"""@cell: a recurrent cell from a function of (p, state, x) and the symbolic shapes of its parameters."""

import math
import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import as_generator, check_positive
from minirnn.layers.recurrent import Cell
from minirnn.module import Array, Parameter

__all__ = ["DeclaredCell", "cell"]

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
Shape = Sequence[str | int]
Initialiser = Callable[[np.random.Generator, tuple[int, ...], Any], Array]

_SIZE = re.compile(r"(?:(\d+)\s*\*\s*)?([A-Za-z]\w*)")


class DeclaredCell(Cell):
    """What `@cell` makes: a Cell built from (input_size, hidden_size, *, rng, dtype), further sizes and options."""

    _shapes: Mapping[str, tuple["_Size", ...]]
    _states: Mapping[str, tuple["_Size", ...]]
    _initialisers: Mapping[str, Initialiser]
    _further: tuple[str, ...]
    _options: Mapping[str, Any]
    _function: Step
    State: Any = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
        **further: Any,
    ):
        name = type(self).__name__
        given = {**self._options, **further}
        if not set(self._further) <= set(given) <= {*self._further, *self._options}:
            came, expected = ", ".join(further) or "none", ", ".join(self._further) or "none"
            options = f"; its options are {', '.join(self._options)}" if self._options else ""
            raise TypeError(f"{name}: further sizes {came} came, {expected} expected (by keyword){options}")
        self.input_size, self.hidden_size = check_positive(name, input_size=input_size, hidden_size=hidden_size)
        sizes = {what: self._by_default(what, given.pop(what)) for what in self._further}
        for what, size in zip(sizes, check_positive(name, **sizes), strict=True):
            setattr(self, what, size)
        for what, value in given.items():
            setattr(self, what, _checked(f"{name}: {what}", value, self._options[what]))
        rng = as_generator(name, rng)
        for what, symbols in self._shapes.items():
            shape = self._resolve(symbols)
            draw = self._initialisers.get(what) or init.torch_default(self.hidden_size)
            value = np.asarray(draw(rng, shape, dtype))
            if value.shape != shape:
                raise ValueError(f"{name}: the initialiser of {what} gave shape {value.shape}, {shape} was expected")
            setattr(self, what, Parameter(value.astype(dtype, copy=False)))

    def _by_default(self, what: str, size: Any) -> Any:
        """A further size; "2*hidden" in numbers where that is its default."""
        symbolic = isinstance(size, str) and size == self._options.get(what)
        return self._resolve((_size(what, size),))[0] if symbolic else size

    def _resolve(self, symbols: tuple["_Size", ...]) -> tuple[int, ...]:
        sizes: dict[str, Any] = {"input": self.input_size, "hidden": self.hidden_size}
        sizes |= {what: getattr(self, what, None) for what in self._further}
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
        named = dict.fromkeys([*self._further, *self._options])
        return ", ".join([super().extra_repr(), *(f"{what}={getattr(self, what)}" for what in named)])


_Size = tuple[int, str | None]  # a multiple of a named size, or a number alone


def cell(
    *,
    state_: Sequence[str] | Mapping[str, Shape] | None = None,
    init_: Mapping[str, Initialiser] | None = None,
    options_: Mapping[str, Any] | None = None,
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
    U(-k, k), k = 1 / sqrt(hidden). options_: what may be given at construction, with its default, and is an attribute
    of p: a number (a step's width, {"dt": 0.1}), a flag, a choice of strings, the first of them the default
    ({"nonlinearity": ("relu", "tanh")}), or a further size that has a default ({"memory": "2*hidden"}). A cell of a
    module's top level can be pickled.

    ValueError: a name that Cell needs itself, an unreadable size. TypeError: an unknown option.
    """
    options = [name for name in parameters if name.endswith("_")]
    if options:
        raise TypeError(f"cell: no option is called {', '.join(options)}; there are state_, init_ and options_")
    if isinstance(state_, str):
        raise TypeError(f"cell: state_={state_!r} came; a tuple of names was expected, as in state_=({state_!r},)")
    shapes = {name: _sizes(name, shape) for name, shape in parameters.items()}
    given = state_ if isinstance(state_, Mapping) else dict.fromkeys(state_ or (), ("hidden",))
    states = {name: _sizes(f"state_ {name}", shape) for name, shape in given.items()}
    symbols = [symbol for sizes in [*shapes.values(), *states.values()] for _, symbol in sizes if symbol]
    further = tuple(dict.fromkeys(symbol for symbol in symbols if symbol not in ("input", "hidden")))
    defaults = dict(options_ or {})
    taken = {"input_size", "hidden_size", "rng", "State", *(name for name in dir(Cell) if not name.startswith("_"))}
    clashes = [name for name in [*shapes, *further, *defaults] if name in taken or name.startswith("_")]
    clashes += [name for name in dict.fromkeys([*further, *defaults]) if name in shapes]
    if clashes:
        raise ValueError(
            f"cell: the name {', '.join(clashes)} is taken; choose others than {', '.join(sorted(taken))}, and names "
            "without a leading underscore"
        )
    for name, default in defaults.items():
        _check_default(name, default, name in further)
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
                "_options": defaults,
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


def _check_default(name: str, default: Any, is_size: bool) -> None:
    if is_size:
        if _size(name, default)[1] not in (None, "input", "hidden"):
            raise ValueError(f"cell: {name}={default!r} came, a size in terms of input or hidden was expected")
    elif isinstance(default, tuple):
        if not default or not all(isinstance(choice, str) for choice in default):
            raise TypeError(f"cell: {name}={default!r} came, a tuple of strings was expected")
    elif not isinstance(default, (bool, int, float)):
        raise TypeError(f"cell: {name}={default!r} came, a number, a flag or a tuple of strings was expected")


def _checked(name: str, value: Any, default: Any) -> Any:
    """An option's value. TypeError, ValueError: it is not of its default's kind, or none of the choices."""
    if isinstance(default, tuple):
        choice = default[0] if value is default else value
        if choice not in default:
            raise ValueError(f"{name}={choice!r} came, one of {', '.join(default)} was expected")
        return choice
    kinds = (bool,) if isinstance(default, bool) else (int,) if isinstance(default, int) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise TypeError(f"{name}={value!r} came, {type(default).__name__} was expected")
    if not math.isfinite(value):
        raise ValueError(f"{name}={value!r} came, a finite number was expected")
    return type(default)(value)  # a NumPy float64 would make a float32 step float64
