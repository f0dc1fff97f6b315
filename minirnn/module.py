"""Module, Parameter, Buffer, tie: a tree of named arrays, and nothing about gradients.

A Module keeps its arrays as plain attributes, so that the maths reads as maths (`x @ self.weight.T`). What makes it
more than an object is that it knows their names: `parameters()` lists them, `bind(values)` returns the same tree with
other arrays in their place, and that is all a gradient needs: `loss(model.bind(values))` is a function of `values`.
"""

import functools
import types
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minirnn import tree
from minirnn.held import Seen, contains, hides, is_open, rebuilt
from minirnn.printing import printed

__all__ = ["Array", "Buffer", "Incompatible", "Module", "Parameter", "tie"]

Array = NDArray[Any]
"""A NumPy array; inside a differentiated function, an autograd box that behaves like one."""


@dataclass(frozen=True, slots=True)
class _Declaration:
    array: Array
    kind: str


def Parameter(array: ArrayLike) -> Array:
    """Declare a trainable array: after `self.weight = Parameter(array)`, `self.weight` is the array itself (a copy).

    A float array keeps its dtype; Python numbers become float32. TypeError: not real floating point.
    """
    value = np.array(array, dtype=None if hasattr(array, "dtype") else np.float32)
    if value.dtype.kind != "f":
        raise TypeError(
            f"Parameter: dtype {value.dtype} came, a real float array was expected; keep integers in a Buffer, "
            "and complex numbers as two real arrays"
        )
    return cast(Array, _Declaration(value, "parameter"))


def Buffer(array: ArrayLike) -> Array:
    """Declare an array that is saved with the model but not trained: `self.mean = Buffer(array)` (a copy)."""
    value = np.array(array)
    if value.dtype == object:
        raise TypeError("Buffer: an array of Python objects came, numbers were expected")
    return cast(Array, _Declaration(value, "buffer"))


class _Leaf:
    """What several attributes may share once they are tied: one array's role."""

    def __init__(self, kind: str):
        self.kind = kind
        self.frozen = False

    @property
    def trainable(self) -> bool:
        return self.kind == "parameter" and not self.frozen


class _Place(NamedTuple):
    path: str
    module: int
    name: str
    leaf: _Leaf
    is_alias: bool


class _Entry(NamedTuple):
    """One distinct array of a tree: its path, its role, and every (module, attribute) that holds it."""

    path: str
    leaf: _Leaf
    sites: list[tuple[int, str]]


class _Plan(NamedTuple):
    """One walk of a tree, kept until any tree's structure changes."""

    epoch: int
    modules: list[tuple[str, "Module"]]  # each module once, parents first
    entries: list[_Entry]
    names: dict[str, int]  # every path, aliases included -> index into entries
    trainable: list[tuple[int, str, dict[str, Any], str]]  # (entry, path, the dict that holds it, under which name)
    seen: list[Seen]  # every list and dict of the tree: its owner may change it at any time


class Incompatible(NamedTuple):
    """What `load_state_dict(..., strict=False)` passed over."""

    missing: list[str]
    unexpected: list[str]


_epoch = 0  # counts structural changes: a plan made at another count is stale


def _structure_changed() -> None:
    global _epoch
    _epoch += 1


def _modules_in(value: Any, path: str) -> Iterator[tuple[str, "Module"]]:
    if isinstance(value, Module):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _modules_in(child, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            yield from _modules_in(child, f"{path}.{i}")


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "_node")  # an autograd box counts as the array it stands for


def _problem(value: Any) -> str | None:
    """Why a value that holds no Module to be found is no attribute of one, or None."""
    if contains(value, _Declaration):
        return "give each Parameter or Buffer an attribute of its own"
    if _is_array(value) or (isinstance(value, (list, tuple, dict)) and contains(value, np.ndarray)):
        return (
            "an array came; wrap it in Parameter (trained) or Buffer (saved, not trained), or compute it from them "
            "where it is used"
        )
    if holder := hides(value, Module):
        return (
            f"{holder} that holds a Module came; it would see that Module's own arrays and not the bound ones. Assign "
            "the Module, or a list, tuple or dict of Modules, and call it in a method"
        )
    return None


def _check_children(value: Any, where: str) -> None:
    """TypeError unless the value is a Module, None, or a nesting of those."""
    if isinstance(value, (dict, list, tuple)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            _check_children(part, f"{where}.{key}")
    elif value is not None and not isinstance(value, Module):
        raise TypeError(
            f"{where}: {type(value).__name__} stands among Modules; keep Modules in a collection of their own"
        )


class Module:
    """A node in a tree of named arrays. Subclass it, assign arrays and Modules in `__init__`, compute in `__call__`.

        class Linear(Module):
            def __init__(self, n_in, n_out, rng):
                self.weight = Parameter(rng.standard_normal((n_out, n_in), dtype=np.float32))
            def __call__(self, x):
                return x @ self.weight.T

    `Parameter` and `Buffer` register arrays; Modules, and lists, tuples and dicts of Modules, register as children,
    also what is put into a list or dict later. Assigning an array to a registered name copies it into place.
    """

    _leaves: dict[str, _Leaf]
    _aliases: set[str]  # names tied to an array that lives under another path
    _children: list[str]
    _open: list[str]  # attributes with a list or dict that holds no Module yet
    _shared: ClassVar[list[tuple[str, Any]]] = []  # attributes of the class that may hold Modules, and shall not
    _bound: bool
    _cached_plan: _Plan | None
    _memo: dict[str, Any]  # what readers found of it, and check before they believe it; bound copies share it
    _steady: Any  # how a layer's next call runs, if it is like the last one; bound copies have none

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [(name, v) for name, v in vars(cls).items() if isinstance(v, (Module, list, dict, tuple))]
        cls._shared = [*cls._shared, *own]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self.__dict__.update(_leaves={}, _aliases=set(), _children=[], _open=[], _bound=False)
        self.__dict__.update(_cached_plan=None, _memo={}, _steady=None)
        return self

    # ------------------------------------------------------------------ attributes
    def __setattr__(self, name: str, value: Any) -> None:
        if self._bound:
            raise TypeError(
                f"{type(self).__name__}.{name}: a bound copy is read-only; return the value from the call instead of "
                "keeping it on the module"
            )
        if isinstance(value, _Declaration):
            self._forget(name)
            self._declare(name, value)
        elif name in self._leaves:
            self._write(name, value)
        elif contains(value, Module):
            self._forget(name)
            self._adopt(name, value)
        elif problem := _problem(value):
            raise TypeError(f"{type(self).__name__}.{name}: {problem}")
        else:
            self._forget(name)
            object.__setattr__(self, name, value)
            if is_open(value):
                self._open.append(name)
                _structure_changed()

    def __delattr__(self, name: str) -> None:
        if name in self._leaves or name in self._children or name in self._open:
            self._forget(name)
        else:
            object.__delattr__(self, name)

    def _forget(self, name: str) -> None:
        if name in self._leaves or name in self._children or name in self._open:
            self._leaves.pop(name, None)
            self._aliases.discard(name)
            for names in (self._children, self._open):
                if name in names:
                    names.remove(name)
            del self.__dict__[name]
            _structure_changed()

    def _declare(self, name: str, declared: _Declaration) -> None:
        if hasattr(type(self), name):
            raise TypeError(
                f"{type(self).__name__}.{name}: the name is taken by an attribute of the class; choose another"
            )
        self._leaves[name] = _Leaf(declared.kind)
        self.__dict__[name] = declared.array
        _structure_changed()

    def _adopt(self, name: str, value: Any) -> None:
        _check_children(value, f"{type(self).__name__}.{name}")
        for path, child in _modules_in(value, name):
            if any(below is self for below in child.modules()):
                raise ValueError(f"{type(self).__name__}.{path}: a Module cannot contain itself")
        self._children.append(name)
        self.__dict__[name] = value
        _structure_changed()

    def _look_again(self) -> None:
        """Sort the attributes with a list or dict into those that hold Modules by now, and others."""
        for name, value in self._shared:
            if contains(value, Module):
                raise TypeError(
                    f"{type(self).__name__}.{name}: a Module came as an attribute of the class, shared by all; assign "
                    f"it in __init__ (self.{name} = ...)"
                )
        for name in [*self._children, *self._open]:
            value, what = self.__dict__[name], f"{type(self).__name__}.{name}"
            before, now = self._open, self._children
            if contains(value, Module):
                _check_children(value, what)
            elif problem := _problem(value):
                raise TypeError(f"{what}: {problem}")
            elif is_open(value):
                before, now = now, before
            if name in before:
                before.remove(name)
                now.append(name)

    def _write(self, name: str, value: Any) -> None:
        target: Array = self.__dict__[name]
        what = f"{type(self).__name__}.{name}"
        if not isinstance(value, (np.ndarray, np.generic, int, float)):
            raise TypeError(f"{what}: {type(value).__name__} came, an array of shape {target.shape} was expected")
        problem = _mismatch(np.asarray(value), target, any_dtype=isinstance(value, (int, float)))
        if problem:
            raise ValueError(f"{what}: {problem}; to replace the array itself, assign Parameter(array)")
        target[...] = value

    # ------------------------------------------------------------------ the tree
    def _plan(self) -> _Plan:
        """Every array of the tree, found in one walk."""
        cached = self._cached_plan
        if cached is not None and cached.epoch == _epoch and _unchanged(cached.seen):
            return cached
        epoch = _epoch
        modules: list[tuple[str, Module]] = []
        places: list[_Place] = []
        _walk("", self, modules, {}, places, ())
        homes: dict[_Leaf, str] = {}
        for alias in (False, True):
            for path, _, _, leaf, is_alias in places:
                if is_alias == alias:
                    homes.setdefault(leaf, path)
        number = {leaf: i for i, leaf in enumerate(leaf for path, _, _, leaf, _ in places if homes[leaf] == path)}
        entries = [_Entry(homes[leaf], leaf, []) for leaf in number]
        for path, i, name, leaf, _ in places:
            sites = entries[number[leaf]].sites
            if (i, name) not in sites:
                sites.insert(0 if path == homes[leaf] else len(sites), (i, name))
        trainable = [
            (i, entry.path, modules[entry.sites[0][0]][1].__dict__, entry.sites[0][1])
            for i, entry in enumerate(entries)
            if entry.leaf.trainable
        ]
        names = {path: number[leaf] for path, _, _, leaf, _ in places}
        if len(names) < len(places):
            twice = next(place.path for i, place in enumerate(places) if place.path in [p.path for p in places[:i]])
            raise ValueError(f"{type(self).__name__}: two arrays would be called {twice!r}; give them keys that differ")
        plan = _Plan(epoch, modules, entries, names, trainable, [] if self._bound else list(_seen(modules)))
        if not self._bound:  # a bound copy that held its plan would be a cycle, and keep its trace until it is found
            self.__dict__["_cached_plan"] = plan
        return plan

    def _array(self, plan: _Plan, entry: _Entry) -> Array:
        module, name = entry.sites[0]
        return cast(Array, plan.modules[module][1].__dict__[name])

    def _with(self, plan: _Plan, values: Mapping[int, Any]) -> Self:
        """The same tree with values[i] in place of the i-th distinct array: one shallow clone a module."""
        clones: list[dict[str, Any]] = []
        by: dict[int, Module] = {}
        for _, module in plan.modules:
            clone = object.__new__(type(module))
            held = clone.__dict__
            held.update(module.__dict__)
            held["_bound"] = True
            held["_cached_plan"] = held["_steady"] = None
            clones.append(held)
            by[id(module)] = clone
        for held in clones:
            for name in held["_children"]:
                held[name] = rebuilt(held[name], lambda leaf: by.get(id(leaf), leaf))
        for i, value in values.items():
            for module_index, name in plan.entries[i].sites:
                clones[module_index][name] = value
        return cast(Self, by[id(self)])

    def _arrays(self) -> Iterator[Any]:
        """Every array of the tree, a shared one as often as it is held; bound copies too, without a plan."""
        if self._open and not self._bound:
            self._look_again()
        for name in self._leaves:
            yield self.__dict__[name]
        for name in self._children:
            for _, child in _modules_in(self.__dict__[name], ""):
                yield from child._arrays()

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """(dotted path, module) for every module of the tree once, this one first under the path ""."""
        return iter(self._plan().modules)

    def modules(self) -> Iterator["Module"]:
        """Every module of the tree once, this one first."""
        return (module for _, module in self._plan().modules)

    # ------------------------------------------------------------------ the arrays
    def parameters(self, *, frozen: bool = False) -> dict[str, Array]:
        """Dotted path -> live array, of every trainable parameter, in the order of definition; tied ones once.

        With frozen=True, the frozen ones too.
        """
        plan = self._plan()
        if frozen:
            return {entry.path: self._array(plan, entry) for entry in plan.entries if entry.leaf.kind == "parameter"}
        return {path: held[name] for _, path, held, name in plan.trainable}

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(int(np.prod(value.shape)) for value in self.parameters().values())

    def state_dict(self) -> dict[str, Array]:
        """Dotted path -> a copy, of every parameter (frozen ones too) and buffer."""
        plan = self._plan()
        return {entry.path: np.array(self._array(plan, entry)) for entry in plan.entries}

    def load_state_dict(self, mapping: Mapping[str, ArrayLike], strict: bool = True) -> Incompatible:
        """Write the arrays of `mapping` in place; nothing is written unless all of it fits.

        `strict=False` passes over names that are missing or unexpected and returns them. ValueError: lists every name
        that is missing, unexpected, or of another shape or dtype.
        """
        if not isinstance(mapping, Mapping):
            raise TypeError(
                f"load_state_dict: {type(mapping).__name__} came, a mapping of names to arrays was expected"
            )
        plan = self._plan()
        problems: list[str] = []
        writes: dict[int, tuple[str, Array]] = {}
        unexpected = [name for name in mapping if name not in plan.names]
        for name in mapping:
            if name in plan.names:
                i = plan.names[name]
                value, target = np.asarray(mapping[name]), self._array(plan, plan.entries[i])
                problem = _mismatch(value, target)
                if problem is None and i in writes and not np.array_equal(value, writes[i][1]):
                    problem = f"differs from what came for {writes[i][0]}; here the two are tied: leave one of them out"
                if problem:
                    problems.append(f"{name}: {problem}")
                writes[i] = name, value
        missing = [entry.path for i, entry in enumerate(plan.entries) if i not in writes]
        if strict:
            problems += [f"{name}: missing" for name in missing] + [f"{name}: unexpected" for name in unexpected]
        if problems:
            raise ValueError(f"{type(self).__name__}: the state does not fit:\n  " + "\n  ".join(problems))
        for i, (_, value) in writes.items():
            self._array(plan, plan.entries[i])[...] = value
        return Incompatible(missing, unexpected)

    def bind(self, values: Mapping[str, Any]) -> Self:
        """The same tree with other arrays under the given paths (trainable, frozen or buffers); self stays as it is.

        Cheap: modules are cloned, arrays are not copied. The copy is read-only. ValueError: an unknown path, another
        shape, or two different arrays for tied names.
        """
        plan = self._plan()
        by_entry: dict[int, Any] = {}
        for name, value in values.items():
            if name not in plan.names:
                raise ValueError(f"bind: no array is called {name!r}; the names are {', '.join(plan.names)}")
            i = plan.names[name]
            shape, expected = np.shape(value), np.shape(self._array(plan, plan.entries[i]))
            if shape != expected:
                raise ValueError(f"bind: {name} has shape {shape}, {expected} was expected")
            if by_entry.setdefault(i, value) is not value:
                raise ValueError(f"bind: {name} is tied to {plan.entries[i].path}, and two arrays came for them")
        return self._with(plan, by_entry)

    def astype(self, dtype: DTypeLike) -> Self:
        """A new model with every float array in another float dtype; ties and frozen names stay as they are."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"astype: {np.dtype(dtype)} came, a real float dtype was expected")
        self._refuse_when_bound("astype")
        new = deepcopy(self)
        plan = new._plan()
        for entry in plan.entries:
            value = new._array(plan, entry)
            if value.dtype.kind == "f":
                value = value.astype(dtype)
                for module, name in entry.sites:
                    plan.modules[module][1].__dict__[name] = value
        return new

    def freeze(self, pattern: str = "*") -> Self:
        """Stop training the parameters whose dotted path matches the glob; returns self. ValueError: none matches."""
        return self._set_frozen(pattern, True)

    def unfreeze(self, pattern: str = "*") -> Self:
        """Train them again; returns self. ValueError: none matches."""
        return self._set_frozen(pattern, False)

    def _set_frozen(self, pattern: str, frozen: bool) -> Self:
        self._refuse_when_bound("unfreeze" if not frozen else "freeze")
        plan = self._plan()
        names = [name for name, i in plan.names.items() if plan.entries[i].leaf.kind == "parameter"]
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if names and not matches:
            raise ValueError(f"no parameter matches {pattern!r}; the names are {', '.join(names)}")
        for name in matches:
            plan.entries[plan.names[name]].leaf.frozen = frozen
        _structure_changed()
        return self

    def _refuse_when_bound(self, what: str) -> None:
        if self._bound:
            raise TypeError(
                f"{what}: this is a bound copy, inside a differentiated call; do it to the model itself, outside"
            )

    # ------------------------------------------------------------------ copies and words
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cached_plan": None, "_memo": {}, "_steady": None}

    def extra_repr(self) -> str:
        """What the tree prints in brackets behind the class name: sizes and options. Override it."""
        return ""

    def __repr__(self) -> str:
        return printed(self)

    def summary(self, *input_shapes: Any, dtype: DTypeLike | None = None) -> Any:
        """A table of the layers that a call with inputs of these whole shapes runs through: output shapes, parameters,
        multiply-adds. `print(model.summary((T, B, F)))`; see minirnn.summary.summarise."""
        from minirnn.summary import summarise

        return summarise(self, *input_shapes, dtype=dtype)


def _walk(
    path: str,
    module: Module,
    modules: list[tuple[str, Module]],
    index: dict[int, int],
    places: list[_Place],
    above: tuple[Module, ...],
) -> None:
    """Note every module once, and every place of an array; `above`: the modules that this one is in."""
    if any(module is outer for outer in above):
        raise ValueError(f"{type(above[0]).__name__}.{path}: a Module cannot contain itself")
    if not module._bound:
        module._look_again()
    known = id(module) in index
    if not known:
        index[id(module)] = len(modules)
        modules.append((path, module))
    prefix = f"{path}." if path else ""
    for name, leaf in module._leaves.items():
        places.append(_Place(prefix + name, index[id(module)], name, leaf, known or name in module._aliases))
    for name in module._children:
        for child_path, child in _modules_in(module.__dict__[name], prefix + name):
            _walk(child_path, child, modules, index, places, (*above, module))


def _unchanged(seen: list[Seen]) -> bool:
    for one in seen:  # noqa: SIM110 (a generator costs more than what it would go through)
        if not one.unchanged():
            return False
    return True


def _seen(modules: list[tuple[str, Module]]) -> Iterator[Seen]:
    """Every list and dict of these modules."""
    for _, module in modules:
        for name in (*module._children, *module._open):
            yield from Seen.all_in(module.__dict__[name], _NOT_PLAIN)


def _mismatch(value: Array, target: Array, any_dtype: bool = False) -> str | None:
    if value.shape != target.shape:
        return f"shape {value.shape} came, {target.shape} was expected"
    if value.dtype != target.dtype and not any_dtype:
        return f"dtype {value.dtype} came, {target.dtype} was expected (astype makes one from the other)"
    return None


def tie(model: Module, *paths: str) -> None:
    """Make several arrays of a model one: the last path's array, listed under that path; the others become its aliases.

        tie(model, "decoder.weight", "encoder.weight")

    From now on freezing, setting or binding any of the names means all. ValueError: an unknown path, or other shapes
    or dtypes.  (Weight tying: Press & Wolf 2017, arXiv:1608.05859.)
    """
    model._refuse_when_bound("tie")
    plan = model._plan()
    if len(paths) < 2:
        raise ValueError(f"tie: {len(paths)} path came, two or more were expected")
    for path in paths:
        if path not in plan.names:
            raise ValueError(f"tie: no array is called {path!r}; the names are {', '.join(plan.names)}")
    kept = plan.entries[plan.names[paths[-1]]]
    array = model._array(plan, kept)
    for path in paths[:-1]:
        entry = plan.entries[plan.names[path]]
        problem = _mismatch(model._array(plan, entry), array)
        if problem or entry.leaf.kind != kept.leaf.kind:
            raise ValueError(
                f"tie: {path} and {paths[-1]} cannot be one: {problem or 'one is a Parameter, one a Buffer'}"
            )
    home_module, _, home_name = paths[-1].rpartition(".")
    for i in {plan.names[path] for path in paths}:
        for module_index, name in plan.entries[i].sites:
            module_path, module = plan.modules[module_index]
            module._leaves[name] = kept.leaf
            module.__dict__[name] = array
            if (module_path, name) == (home_module, home_name):
                module._aliases.discard(name)
            else:
                module._aliases.add(name)
    _structure_changed()


def _take_apart(module: Module) -> tuple[list[tuple[str, Any]], Callable[..., Module]]:
    plan = module._plan()
    children = [(entry.path, module._array(plan, entry)) for entry in plan.entries]
    return children, lambda values: module._with(plan, dict(enumerate(values)))


tree.register(Module, _take_apart)
_NOT_PLAIN = (Module, _Declaration, np.ndarray, types.FunctionType, types.MethodType, functools.partial)
