"""The pytest fixture `gradcheck`. Every pytest session beside an installed minirnn loads this: imports are late."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def gradcheck() -> Callable[..., Any]:
    """A function that checks a gradient and fails the test with the report: `gradcheck(f, *args, vjp=backward)`.

    Arguments are those of `minirnn.gradcheck.gradcheck`, or, for a model, of `gradcheck_module`; returns the report.
    """
    from minirnn.gradcheck import assert_gradients

    def check(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return assert_gradients(*args, **options)

    return check
