"""LLVM's assembly, written a function at a time: integers, loops, and vectors of numbers.

A Text knows the variables in scope; every value is a name or a literal, as text. Vectors are as wide as `lanes` says
at the time, so that one function may hold loops over numbers of several sizes.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minirnn.compile.loops.program import Index, Slot

__all__ = ["Text", "element", "float_literal", "in_name", "size_of"]

_ELEMENTS = {"float32": "float", "float64": "double", "bool": "i1"}
_SUFFIX = {"float": "f32", "double": "f64"}


def element(dtype: str) -> str:
    """LLVM's type of a number in a register."""
    return _ELEMENTS.get(dtype) or f"i{8 * np.dtype(dtype).itemsize}"


def float_literal(value: float, kind: str) -> str:
    """A number as LLVM writes it: the bits of a double, which for a float must be one of its own."""
    if kind == "float":
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Text:
    """One function. `intrinsics` collects the declarations that the module needs."""

    def __init__(self, name: str, arguments: Sequence[tuple[str, str]], intrinsics: set[str], attributes: str = ""):
        given = ", ".join([f"{kind} %{n}" for kind, n in arguments])
        self.head = f"define {attributes} void @{name}({given}) nounwind {{"
        self.intrinsics, self.count = intrinsics, 0
        self.entry: list[str] = []  # before everything: memory for variables, and what the call brings
        self.lines: list[str] = []
        self.variables: dict[str, str] = {n: f"%{n}" for _, n in arguments}
        self.slots: list[str] = []
        self.lanes = 1

    def text(self) -> str:
        entry, lines = "\n".join(self.entry), "\n".join(self.lines)
        return f"{self.head}\nentry:\n{entry}\n  br label %begin\nbegin:\n{lines}\n  ret void\n}}\n"

    # ------------------------------------------------------------ instructions and blocks
    def put(self, line: str) -> None:
        self.lines.append("  " + line)

    def value(self, expression: str) -> str:
        """The name of a new value."""
        self.count += 1
        self.put(f"%v{self.count} = {expression}")
        return f"%v{self.count}"

    def at_entry(self, expression: str) -> str:
        self.count += 1
        self.entry.append(f"  %v{self.count} = {expression}")
        return f"%v{self.count}"

    def label(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def begin(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def call(self, result: str, name: str, *arguments: tuple[str, str]) -> str:
        """The value of a function of another module, of (type, value) pairs; "" of a void one."""
        self.intrinsics.add(f"declare {result} @{name}({', '.join([kind for kind, _ in arguments])})")
        text = f"call {result} @{name}({', '.join([f'{kind} {value}' for kind, value in arguments])})"
        if result != "void":
            return self.value(text)
        self.put(text)
        return ""

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """What is written within runs where the condition (an i1) holds."""
        inside, behind = self.label("then"), self.label("end")
        self.put(f"br i1 {condition}, label %{inside}, label %{behind}")
        self.begin(inside)
        yield
        self.put(f"br label %{behind}")
        self.begin(behind)

    @contextmanager
    def loop(self, var: str, start: str, stop: str, step: int = 1) -> Iterator[str]:
        """var = start, start + step, ..., while it is less than stop; or, with step -1, while it is at least stop."""
        slot = self.at_entry("alloca i64")
        head, body, behind = self.label("head"), self.label("body"), self.label("end")
        self.put(f"store i64 {start}, ptr {slot}")
        self.put(f"br label %{head}")
        self.begin(head)
        now = self.value(f"load i64, ptr {slot}")
        condition = self.value(f"icmp {'sge' if step < 0 else 'slt'} i64 {now}, {stop}")
        self.put(f"br i1 {condition}, label %{body}, label %{behind}")
        self.begin(body)
        before = dict(self.variables)
        self.variables[var] = now
        yield now
        self.variables = before
        self.put(f"store i64 {self.value(f'add nsw i64 {now}, {step}')}, ptr {slot}")
        self.put(f"br label %{head}")
        self.begin(behind)

    # ------------------------------------------------------------ integers
    def size(self, size: Any) -> str:
        """A whole number of the program: itself, what the call brings for it, or an Index's value."""
        if isinstance(size, Slot):
            return self.slots[size.k]
        return self.integer(size) if isinstance(size, tuple) else str(size)

    def integer(self, index: Index) -> str:
        """An Index's value."""
        total = "0"
        for coefficient, names in index:
            term = self.size(coefficient)
            for name in names:
                term = self.times(term, self.variables[name])
            total = self.plus(total, term)
        return total

    def plus(self, a: str, b: str) -> str:
        if "0" in (a, b):
            return b if a == "0" else a
        return self.value(f"add nsw i64 {a}, {b}")

    def times(self, a: str, b: str) -> str:
        if "0" in (a, b):
            return "0"
        if "1" in (a, b):
            return b if a == "1" else a
        return self.value(f"mul nsw i64 {a}, {b}")

    def minus(self, a: str, b: str) -> str:
        return a if b == "0" else self.value(f"sub nsw i64 {a}, {b}")

    def least(self, a: str, b: str) -> str:
        return self.call("i64", "llvm.smin.i64", ("i64", a), ("i64", b))

    # ------------------------------------------------------------ memory
    def address(self, base: str, offset: str, kind: str) -> str:
        return base if offset == "0" else self.value(f"getelementptr inbounds {kind}, ptr {base}, i64 {offset}")

    def vector(self, kind: str) -> str:
        return f"<{self.lanes} x {kind}>"

    def load(self, kind: str, pointer: str, mask: str | None = None) -> str:
        """A vector from memory; where a lane is not in the mask, memory is not touched and the lane is zero."""
        vector, align = self.vector(kind), size_of(kind)
        if mask is None:
            return self.value(f"load {vector}, ptr {pointer}, align {align}")
        name = f"llvm.masked.load.v{self.lanes}{in_name(kind)}.p0"
        given = ("ptr", pointer), ("i32", str(align)), (self.vector("i1"), mask), (vector, "zeroinitializer")
        return self.call(vector, name, *given)

    def store(self, kind: str, value: str, pointer: str, mask: str | None = None) -> None:
        vector, align = self.vector(kind), size_of(kind)
        if mask is None:
            self.put(f"store {vector} {value}, ptr {pointer}, align {align}")
        else:
            name = f"llvm.masked.store.v{self.lanes}{in_name(kind)}.p0"
            self.call("void", name, (vector, value), ("ptr", pointer), ("i32", str(align)), (self.vector("i1"), mask))

    def prefetch(self, pointer: str, nearness: int) -> None:
        """Ask for the numbers at a place that will be read; 3: into the nearest cache, 2: into the next."""
        given = ("ptr", pointer), ("i32", "0"), ("i32", str(nearness)), ("i32", "1")
        self.call("void", "llvm.prefetch.p0", *given)

    def mask(self, count: str) -> str:
        """The lanes below count."""
        lanes = ", ".join([f"i64 {k}" for k in range(self.lanes)])
        return self.value(f"icmp slt {self.vector('i64')} <{lanes}>, {self.splat('i64', count)}")

    def splat(self, kind: str, scalar: str) -> str:
        """A vector with one number in every lane."""
        vector = self.vector(kind)
        one = self.value(f"insertelement {vector} poison, {kind} {scalar}, i32 0")
        return self.value(f"shufflevector {vector} {one}, {vector} poison, <{self.lanes} x i32> zeroinitializer")

    def constant(self, kind: str, value: Any) -> str:
        """A vector of one known number."""
        if kind in _SUFFIX:
            text = float_literal(float(value), kind)
        else:
            text = str(value).lower() if kind == "i1" else str(int(value))
        return "<" + ", ".join([f"{kind} {text}"] * self.lanes) + ">"

    # ------------------------------------------------------------ vectors of floats
    def binary(self, op: str, kind: str, a: str, b: str) -> str:
        return self.value(f"{op} {self.vector(kind)} {a}, {b}")

    def fma(self, kind: str, a: str, b: str, c: str) -> str:
        return self.intrinsic("fma", kind, a, b, c)

    def intrinsic(self, name: str, kind: str, *operands: str) -> str:
        vector = self.vector(kind)
        given = [(vector, operand) for operand in operands]
        return self.call(vector, f"llvm.{name}.v{self.lanes}{_SUFFIX[kind]}", *given)

    def compare(self, predicate: str, kind: str, a: str, b: str) -> str:
        return self.value(f"{'fcmp' if kind in _SUFFIX else 'icmp'} {predicate} {self.vector(kind)} {a}, {b}")

    def select(self, kind: str, mask: str, a: str, b: str) -> str:
        vector = self.vector(kind)
        return self.value(f"select {self.vector('i1')} {mask}, {vector} {a}, {vector} {b}")


def size_of(kind: str) -> int:
    """Bytes of a number in memory."""
    return {"float": 4, "double": 8, "ptr": 8}.get(kind) or max(1, int(kind[1:]) // 8)


def in_name(kind: str) -> str:
    """How an intrinsic's name says the type."""
    return _SUFFIX.get(kind, kind)
