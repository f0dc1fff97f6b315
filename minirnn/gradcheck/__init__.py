"""A gradient checker that estimates its own numerical error and judges by it.

report = gradcheck(f, *args, vjp=backward)       # any NumPy function with a hand-written backward
report = gradcheck(f, *args)                     # without `vjp`: autograd's gradient
report = gradcheck_module(model, loss, *args)    # every parameter of a model, by its dotted path
assert_gradients(f, *args, vjp=backward)         # AssertionError, with the report as its message

Needs NumPy, and autograd only where no backward is given. pytest users get a fixture `gradcheck`. Names are imported
when they are first used, so that the pytest plugin beside them costs a test session nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minirnn.gradcheck.checker import gradcheck
    from minirnn.gradcheck.module import assert_gradients, gradcheck_module
    from minirnn.gradcheck.report import Report

__all__ = ["Report", "assert_gradients", "gradcheck", "gradcheck_module"]

_home = {"gradcheck": "checker", "assert_gradients": "module", "gradcheck_module": "module", "Report": "report"}


def __getattr__(name: str) -> Any:
    if name not in _home:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_home[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
