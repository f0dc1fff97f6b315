"""Where a loss stopped being finite: the first parameter, activation or gradient that is nan or infinite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.module import Array, Module

__all__ = ["DivergedError", "first_nonfinite"]


class DivergedError(ValueError):
    """A loss or a gradient is no longer finite."""


def first_nonfinite(
    model: Module, loss: Callable[..., Any], batch: Any, state: Any, rng: Any, grads: dict[str, Array]
) -> str:
    """One phrase for the first value that is not finite, on the way from the weights to the gradient.

    Runs the loss once more, on the same batch, state and noise, and looks at what every module returns.
    """
    for what, nesting in {"the parameter": model, "the batch's": batch, "the carried state's": state}.items():
        for path, leaf in tree.named_leaves(nesting):
            if (where := _where(leaf)) is not None:
                return f"{what} {path or 'array'} {where}"
    found: list[str] = []
    with _listening(model, found), np.errstate(all="ignore"):
        value, _ = loss(model, batch, state, rng)
    if found:
        return found[0]
    if not np.isfinite(value):
        return "the loss itself, every module's output being finite"
    for name, g in grads.items():
        if (where := _where(g)) is not None:
            return f"the gradient of {name} {where}"
    return "nothing that shows when the step is run again"


def _where(leaf: Any) -> str | None:
    """What of an array is not finite, and where first; None if nothing."""
    if not isinstance(leaf, (np.ndarray, np.generic, float)) or np.result_type(leaf).kind != "f":
        return None
    bad = np.argwhere(~np.isfinite(np.atleast_1d(leaf)))
    if not len(bad):
        return None
    place = tuple(bad[0].tolist())
    return f"({len(bad)} of {np.size(leaf)} entries, first {np.atleast_1d(leaf)[place]} at {list(place)})"


@contextmanager
def _listening(model: Module, found: list[str]) -> Iterator[None]:
    """Within the block, each module's call looks at what it returns, and notes the first that is not finite."""
    names = {id(module): (path, type(module).__name__) for path, module in model.named_modules()}
    classes: set[Any] = {type(module) for module in model.modules() if callable(module)}
    originals = {cls: cls.__call__ for cls in classes}
    own = {cls for cls in classes if "__call__" in vars(cls)}

    def listener(call: Callable[..., Any]) -> Callable[..., Any]:
        def heard(self: Any, *args: Any, **kwargs: Any) -> Any:
            returned = call(self, *args, **kwargs)
            if not found and id(self) in names:
                path, kind = names[id(self)]
                if where := next(filter(None, map(_where, tree.leaves(returned))), None):
                    found.append(f"the output of {path or 'the model'} ({kind}) {where}")
            return returned

        return heard

    try:
        for cls, call in originals.items():
            cls.__call__ = listener(call)
        yield
    finally:
        for cls, call in originals.items():
            if cls in own:
                cls.__call__ = call
            else:
                del cls.__call__
