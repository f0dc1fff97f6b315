"""The backward of a function, beside it in its file: the one that is named after it, and the ones that nearly are."""

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Any

__all__ = ["beside"]

SUFFIXES = ("_backward", "_vjp")
SPELLINGS = (
    "backward backwards bwd bkwd bw back backprop backpropagate backpropagation bprop bp bptt vjp vjps grad grads "
    "gradient gradients pullback adjoint deriv derivative derivatives prime d"
)
WORDS = tuple(SPELLINGS.split())
BARE = ("backward", "backwards", "bwd", "backprop", "bptt", "vjp", "grad", "gradient", "gradients", "pullback")
FORWARD = ("forward", "fwd")
FILLERS = ("of", "for", "the", "pass", "fn", "func", "function", "impl", "np", "numpy", "manual", "by", "hand")
ALIKE = 0.8  # letters that two words share, as difflib counts them, where one is a slip of the other


def beside(owner: Any, name: str) -> Callable[..., Any] | None:
    """The backward of `name` in the same module or class: NAME_backward or NAME_vjp; None: there is none.

    ValueError: there is something else that looks like it, which would go unchecked without a word.
    """
    for suffix in SUFFIXES:
        found = getattr(owner, f"{name}{suffix}", None)
        if callable(found):
            return found
        if hasattr(owner, f"{name}{suffix}"):
            raise ValueError(f"{name}{suffix} is {type(found).__name__}, a function was expected")
    near = [other for other in dir(owner) if _is_near(owner, name, other)]
    if near:
        raise ValueError(
            f"{' and '.join(near)} beside {name} looks like its backward, which is called {name}{SUFFIXES[0]} or "
            f"{name}{SUFFIXES[1]}; rename it, or say --backward {near[0]} (--backward autograd to check autograd's)"
        )
    return None


def _is_near(owner: Any, name: str, other: str) -> bool:
    """Whether `other` is a function whose name says backward of `name`, in another way or with a slip of the pen."""
    if other == name or (other.startswith("__") and other.endswith("__")) or not callable(getattr(owner, other)):
        return False
    for stem, suffix in (other.rsplit("_", 1) for _ in range("_" in other)):
        if f"_{suffix}" in SUFFIXES and hasattr(owner, stem):
            return False  # the backward of another function
    words, own = _words(other), _words(name)
    stems = [own, own[:-1]] if own and own[-1] in FORWARD else [own]
    if len(words) == 1 and (words[0] in BARE or (not stems[-1] and _says_backward(words[0]))):
        return _is_at_home(owner, other)  # not named after any function, and written here
    return any(_names_backward_of(words, stem) for stem in stems if stem)


def _names_backward_of(words: list[str], stem: list[str]) -> bool:
    count, joined = len(stem), "".join(stem)
    for start in range(len(words) - count + 1):
        rest = [w for w in words[:start] + words[start + count :] if not (w in FILLERS or w.isdigit())]
        if _same(words[start : start + count], stem) and rest and all(map(_says_backward, rest)):
            return True
    return any("".join(words) in (f"{word}{joined}", f"{joined}{word}") for word in WORDS)  # df, lossgrad


def _words(name: str) -> list[str]:
    """lossBackward2 -> loss, backward, 2."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def _same(found: list[str], own: list[str]) -> bool:
    return len(found) == len(own) and all(
        a == b or (len(b) > 3 and SequenceMatcher(None, a, b).ratio() >= ALIKE) for a, b in zip(found, own, strict=True)
    )


def _says_backward(word: str) -> bool:
    return word in WORDS or any(
        len(known) > 3 and SequenceMatcher(None, word, known).ratio() >= ALIKE for known in WORDS
    )


def _is_at_home(owner: Any, name: str) -> bool:
    """Whether it was written in that module, and not imported into it."""
    home = getattr(getattr(owner, name), "__module__", None)
    return home == getattr(owner, "__name__", None) or isinstance(owner, type)
