"""One text for every size, of texts that were printed at some sizes.

A printer marks each size and each number that it writes. What is the same in all prints is a number; what differs is
found as a sum of multiples of the sizes, or a power of one: (4 * H, 2 * I + H, H // 2, H ** -0.5).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

__all__ = ["Unlike", "argument_sizes", "bare", "batch_sizes", "number", "one_text", "size", "used"]

_MARK = re.compile("\x00(.)([^\x01]*)\x01")
_POWERS = {1: "{}", -1: "1 / {}", -0.5: "{} ** -0.5", 0.5: "{} ** 0.5"}
_LINE = re.compile("^( *)\x02([^\x03]*)\x03\n", re.MULTILINE)


class Unlike(ValueError):
    """The prints differ in more than sizes."""


# ---------------------------------------------------------------- marks
def size(value: int) -> str:
    """A size where an argument stands: it needs no brackets."""
    return f"\x00s{int(value)}\x01"


def bare(value: float) -> str:
    """A number where an argument stands."""
    return f"\x00s{value!r}\x01"


def number(value: float) -> str:
    """A number among operands."""
    return f"\x00n{value!r}\x01"


def argument_sizes(shapes: Mapping[str, Sequence[int]], values: Mapping[str, int] | None = None) -> str:
    """A line of a function that defines the sizes which its lines use, from the shapes of its arguments, or values."""
    given = [f"{name}={size(value)}" for name, value in (values or {}).items()]
    given += [f"{name}.shape[{k}]={size(dim)}" for name, shape in shapes.items() for k, dim in enumerate(shape)]
    return f"\x02{';'.join(given)}\x03"


def batch_sizes(array: str, names: Sequence[str]) -> str:
    """A line of a function that defines those of the names which its lines use, from an array's first axes."""
    return "\x02" + ";".join(f"{array}.shape[{k}]={name}" for k, name in enumerate(names)) + "\x03"


# ---------------------------------------------------------------- one text
def one_text(prints: Sequence[str], sizes: Sequence[Mapping[str, int]]) -> str:
    """The text for all sizes. prints: one for each of the sizes, which name them. Unlike: says where they differ."""
    skeletons = [_MARK.sub("\x00", text) for text in prints]
    for other in skeletons[1:]:
        if other != skeletons[0]:
            lines = zip(skeletons[0].splitlines(), other.splitlines(), strict=False)
            raise Unlike(next((a.strip().replace("\x00", "#") for a, b in lines if a != b), "in length"))
    marks = [list(_MARK.finditer(text)) for text in prints]
    found = iter([_expression(sizes, [m[1] for m in same], [m[2] for m in same]) for same in zip(*marks, strict=True)])
    return _with_sizes(re.sub("\x00", lambda _: next(found), skeletons[0]), ["T", "B", *sizes[0]])


def _expression(sizes: Sequence[Mapping[str, int]], kinds: Sequence[str], texts: Sequence[str]) -> str:
    if len(set(texts)) == 1:
        return texts[0]
    values = [float(text) for text in texts]
    if max(values) < 0:
        positive = _expression(sizes, ["n"] * len(kinds), [text.removeprefix("-") for text in texts])
        return f"-{positive}" if kinds[0] == "s" else f"(-{positive})"
    for power, form in _POWERS.items():
        if power != 1 and min(values) <= 0:
            break
        found = _affine(sizes, [value ** (1 / power) for value in values])
        if found is not None:
            text = form.format(found if power == 1 or found.isidentifier() else f"({found})")
            return text if kinds[0] == "s" or text.isidentifier() else f"({text})"
    raise Unlike(f"the number {texts[0]} follows the sizes in no way that is known")


def _affine(sizes: Sequence[Mapping[str, int]], values: Sequence[float]) -> str | None:
    """A sum of multiples of the sizes that gives these values, as text. The second print has another first size than
    the first print, the third one another second size; those behind confirm what is found."""
    names = list(sizes[0])
    parts = []
    for name, moved, value in zip(names, sizes[1:], values[1:], strict=False):
        slope = (value - values[0]) / (moved[name] - sizes[0][name])
        parts.append(Fraction(slope).limit_denominator(24))
    rest = Fraction(values[0] - sum(part * sizes[0][name] for part, name in zip(parts, names, strict=True)))
    rest = rest.limit_denominator(24)
    for at, value in zip(sizes, values, strict=True):
        made = rest + sum(part * at[name] for part, name in zip(parts, names, strict=True))
        if abs(float(made) - value) > 1e-9 * max(1.0, abs(value)):
            return None
    whole = all(part.denominator == 1 for part in (*parts, rest))
    by = 1 if whole else max(part.denominator for part in (*parts, rest))
    terms = [(part * by, name) for part, name in zip(parts, names, strict=True)] + [(rest * by, "")]
    if any(part.denominator != 1 for part, _ in terms):
        return None
    text = ""
    for part, name in terms:
        if part:
            many = abs(part.numerator)
            term = f"{many} * {name}" if name and many != 1 else name or str(many)
            text += term if not text and part > 0 else f" {'+' if part > 0 else '-'} {term}" if text else f"-{term}"
    if by == 1:
        return text or "0"
    integers = all(float(value).is_integer() for value in values)
    return f"{text if text.isidentifier() else f'({text})'} {'//' if integers else '/'} {by}"


# ---------------------------------------------------------------- what a function must find of the sizes
def used(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w.]){name}(?![\w=(])", text) is not None


def _with_sizes(text: str, names: Sequence[str]) -> str:
    """The text with a line of definitions for each line of `argument_sizes`."""

    def definitions(found: re.Match[str]) -> str:
        rest = text[found.end() :]
        end = re.search(rf"\n {{0,{max(0, len(found[1]) - 4)}}}\S", rest)
        body = rest[: end.start()] if end else rest
        given = [item.partition("=") for item in found[2].split(";") if item]
        made = [(name, where) for name in names if used(name, body) and (where := _where(name, given))]
        return "".join(f"{found[1]}{name} = {where}\n" for name, where in made)

    return _LINE.sub(definitions, text)


def _where(name: str, given: Sequence[tuple[str, str, str]]) -> str | None:
    """Where a size is found: in an argument's shape, which may be a multiple of it."""
    exact = [where for where, _, value in given if value == name]
    multiple: Callable[[str], re.Match[str] | None] = re.compile(rf"(\d+) \* {name}").fullmatch
    return next(iter(exact + [f"{where} // {m[1]}" for where, _, value in given if (m := multiple(value))]), None)
