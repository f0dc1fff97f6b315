"""What a check found, as an object, as a table that a person can act on, and as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ArgumentReport", "Report", "Worst"]

SHOWN = 20  # of the values that were not varied
WORDS = {
    "ok": "the gradient is right",
    "kink": "the gradient is right: a subgradient, for f has a kink at the given point",
    "mismatch": "the gradient is wrong",
    "nondeterministic": "the same arguments give different results",
    "mutates-input": "an argument is written into",
    "shape": "the gradient has a wrong shape",
    "dtype": "the gradient has a wrong dtype",
    "non-finite": "a value is not finite",
    "discontinuous": "f jumps at the given point, where it has no derivative",
}


@dataclass(frozen=True)
class Worst:
    """The largest disagreement: argument, index (None: along a random direction), the backward's value, the numerical
    one, the estimated error of the numerical one, and |analytic - numeric| / max(|analytic|, |numeric|)."""

    argument: str
    index: tuple[int, ...] | None
    analytic: float
    numeric: float
    error: float
    relative: float


@dataclass
class ArgumentReport:
    """One argument: how many coordinates were checked one by one, how many of them disagree, sit at a kink or could
    not be resolved numerically, along how many directions it was checked at all points, and what is recognised."""

    name: str
    shape: tuple[int, ...]
    coordinates: int = 0
    directions: int = 0
    disagree: int = 0
    kinks: int = 0
    unresolved: int = 0
    worst: Worst | None = None
    hints: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The outcome of a gradient check. `ok`: nothing wrong was found; `kind` says what was (`kink` is ok: the gradient
    lies between the one-sided derivatives). `checked`: whose gradient; `constants`: what was not varied.
    `str(report)` is the error message."""

    kind: str
    arguments: list[ArgumentReport] = field(default_factory=list)
    worst: Worst | None = None
    where: str = "at the given point"
    text: str = ""
    notes: list[str] = field(default_factory=list)
    points: int = 0
    precision: str = ""
    evaluations: int = 0
    order: int = 1
    checked: str = ""
    constants: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.kind in ("ok", "kink")

    def __bool__(self) -> bool:
        raise TypeError("a Report is neither true nor false; ask report.ok")

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers, for JSON; what is not finite becomes a string."""
        plain = asdict(self)
        plain["worst"] = _plain(self.worst)
        for entry, argument in zip(plain["arguments"], self.arguments, strict=True):
            entry["worst"] = _plain(argument.worst)
            entry["shape"] = list(argument.shape)
        return {"ok": self.ok, **plain}

    def __str__(self) -> str:
        culprits = [a.name for a in self.arguments if a.disagree or (self.worst and a.name == self.worst.argument)]
        named = f" by {', '.join(culprits)}" if self.kind == "mismatch" and culprits else ""
        second = " (of the second derivative)" if self.order == 2 else ""
        whose = f" ({self.checked})" if self.checked else ""
        lines = [f"gradcheck: {self.kind}{whose}: {WORDS[self.kind]}{named}{second}"]
        if self.text:
            lines.append(f"  {self.text}")
        if self.kind == "mismatch":
            lines.append(f"  {self.where}:")
        if any(a.coordinates or a.directions for a in self.arguments):
            lines += ["", *(f"  {row}" for row in _table(self.arguments, self.worst)), ""]
        for argument in self.arguments:
            lines += [f"  hint: {argument.name}: {hint}" for hint in argument.hints]
        lines += [f"  note: {note}" for note in self.notes]
        if self.constants:
            more = len(self.constants) - SHOWN
            shown = ", ".join(self.constants[:SHOWN]) + (f" and {more} more" if more > 0 else "")
            lines.append(f"  not varied: {shown}")
        if self.points:
            plural = "point" if self.points == 1 else "points"
            lines.append(f"  {self.points} {plural}, {self.evaluations} evaluations of f in {self.precision}")
        return "\n".join(lines)


def _plain(worst: Worst | None) -> dict[str, Any] | None:
    if worst is None:
        return None
    numbers = {k: v if v - v == 0 else str(v) for k, v in asdict(worst).items() if isinstance(v, float)}
    return {"argument": worst.argument, "index": None if worst.index is None else list(worst.index), **numbers}


def _table(arguments: list[ArgumentReport], overall: Worst | None) -> list[str]:
    rows = [["argument", "shape", "disagree", "rel. error", "at", "backward", "numerical", "± its error"]]
    for a in arguments:
        count = f"{a.disagree} of {a.coordinates}" if a.coordinates else f"- ({a.directions} directions)"
        extra = [f"{n} {what}" for n, what in ((a.kinks, "at a kink"), (a.unresolved, "unresolved")) if n]
        row = [a.name, str(a.shape), "; ".join([count, *extra])]
        if a.worst is None:
            rows.append([*row, "-", "", "", "", ""])
            continue
        w = a.worst
        at = "a direction" if w.index is None else str(list(w.index))
        rows.append([*row, f"{w.relative:.1e}", at, f"{w.analytic:.8g}", f"{w.numeric:.8g}", f"{w.error:.0e}"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    marks = [
        " ",
        *("*" if overall is not None and a.name == overall.argument and a.disagree else " " for a in arguments),
    ]
    return [
        (mark + " " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for mark, row in zip(marks, rows, strict=True)
    ]
