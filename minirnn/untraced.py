"""What to write instead, where a step does what an array that is being traced cannot take part in."""

import traceback
from collections.abc import Iterable
from pathlib import Path

__all__ = ["PLAIN_NUMPY", "cause", "differentiable", "users_line"]

PLAIN_NUMPY = (
    "a function of plain NumPy (or of SciPy) was given arrays that are being traced; import autograd.numpy as np, or "
    "take minirnn.functional"
)
_BUILT = (
    "an array is written into, or built from numbers; put it together with where, stack or concatenate of "
    "autograd.numpy"
)
_NUMBERS = (
    "a number is taken out of an array; keep arrays (np.tanh instead of math.tanh, a[:1] instead of float(a[0])), or "
    "say minirnn.stop_gradient(a) where it is a constant"
)
_ADVICE = {  # a part of the message of NumPy or autograd -> what was done, and what to write
    "setting an array element": _BUILT,
    "does not support item assignment": _BUILT,
    "no attribute 'copy'": "an array is copied; leave .copy() out, as nothing writes into an array of a step",
    "no attribute 'item'": _NUMBERS,
    "no attribute 'tolist'": _NUMBERS,
    "must be real number": _NUMBERS,
    "float() argument": _NUMBERS,
    "int() argument": _NUMBERS,
    "cannot be interpreted as an integer": _NUMBERS,
    "passed to ArrayBox.__format__": _NUMBERS,
    "out=": "out= stands in a call; leave it out, and take what is returned",
    "__array_ufunc__": PLAIN_NUMPY,
    "loop of ufunc": PLAIN_NUMPY,
    "dtype('O')": PLAIN_NUMPY,
    "dtype object": PLAIN_NUMPY,
    "ArrayBox.__format__": _NUMBERS,
    "for //:": "// divides arrays; write np.floor(a / b)",
    "'ArrayBox' object has no attribute": "it asks for what plain arrays alone have; write np.f(a), not a.f()",
    "ArrayBox": "an array that is being traced came where a plain one was expected; write it with autograd.numpy",
}
_HERE = Path(__file__).parent


def users_line(frames: Iterable[traceback.FrameSummary]) -> str:
    """The last line that is neither of a library nor of minirnn itself, cells apart."""
    found = list(frames)
    cells = str(_HERE / "layers")
    own = [f for f in found if f.filename.startswith(cells) or not f.filename.startswith(str(_HERE))]
    own = [f for f in own if "site-packages" not in f.filename and not f.filename.startswith("<")]
    if not found:
        return ""
    frame = (own or found)[-1]
    return f"{frame.filename}:{frame.lineno}: {(frame.line or '').strip()}"


def cause(error: BaseException) -> str:
    """What a step did, where it failed in a trace."""
    message = str(error)
    found = next((advice for part, advice in _ADVICE.items() if part in message), None)
    line = users_line(traceback.extract_tb(error.__traceback__))
    return f"{found or f'it fails on other numbers than these ({type(error).__name__}: {message})'} ({line})"


def differentiable(error: BaseException) -> Exception | None:
    """An error that says what to write instead, where one comes of arrays that are being differentiated."""
    message = str(error)
    if "ArrayBox" not in message and "setting an array element" not in message and "dtype('O')" not in message:
        return None
    kind = ValueError if isinstance(error, ValueError) else TypeError
    return kind(f"the step cannot be differentiated: {cause(error)}. {type(error).__name__} says: {message}")
