"""Lines of code: blocks, lists, and lines that are too long."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["beside", "comma", "gradient_texts", "indented", "laid_out", "tuple_text"]

WIDTH = 116


def comma(items: Iterable[str]) -> str:
    return ", ".join(items)


def tuple_text(items: Sequence[str]) -> str:
    return f"({comma(items)}{',' * (len(items) == 1)})"


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return [f"{'    ' * depth}{line}" if line else line for line in lines]


def beside(shape: Sequence[int]) -> str:
    """A step's flags (B,) as they meet a state (B, *shape)."""
    return f"inside_t[{comma([':', *['None'] * len(shape)])}]"


def gradient_texts(of: Mapping[str, str], module: str) -> list[str]:
    """Gradients' texts, by the names of what they belong to; zeros in its shape for "0"."""
    return [f"{module}.zeros_like({name})" if text == "0" else text for name, text in of.items()]


def laid_out(text: str) -> str:
    """The text with what stands in the brackets of a long line on lines of its own."""
    lines = [part for line in text.splitlines() for part in (_cut(line) if len(line) > WIDTH else [line])]
    return "\n".join(lines) + "\n"


def _cut(line: str) -> Iterator[str]:
    indent = line[: len(line) - len(line.lstrip())]
    opened = _widest(line)
    if opened is None or line.lstrip().startswith(("#", '"""')):
        yield line
        return
    first, last = opened
    yield line[: first + 1]
    for row in _rows(line[first + 1 : last], WIDTH - len(indent) - 4):
        yield from _cut(f"{indent}    {row}") if len(row) + len(indent) + 4 > WIDTH else [f"{indent}    {row}"]
    yield f"{indent}{line[last:]}"


def _widest(line: str) -> tuple[int, int] | None:
    """The brackets that hold most of the line and a comma."""
    stack: list[int] = []
    found: list[tuple[int, int]] = []
    for k, letter in enumerate(line):
        if letter in "([":
            stack.append(k)
        elif letter in ")]" and stack:
            first = stack.pop()
            if ", " in line[first:k]:
                found.append((first, k))
    return max(found, key=lambda pair: pair[1] - pair[0], default=None)


def _rows(inside: str, width: int) -> Iterator[str]:
    """The items between commas outside of brackets, as many a row as fit."""
    items, depth, start = [], 0, 0
    for k, letter in enumerate(inside):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            items.append(inside[start : k + 1].strip())
            start = k + 1
    items += [inside[start:].strip()] if inside[start:].strip() else []
    row = ""
    for item in items:
        if row and len(row) + len(item) + 1 > width:
            yield row
            row = item
        else:
            row = f"{row} {item}".strip()
    yield row
