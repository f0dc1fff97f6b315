"""This machine's vector registers, and the instructions on them that Numba has no words for.

The panels of a packed matrix are VECTORS vectors wide, and a tile of a product has up to ROWS rows.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["INTEGER", "ROWS", "VECTORS", "VECTOR_BYTES", "Vectors", "address", "lanes"]

INTEGER = ir.IntType(64)


def _vector_bytes_and_rows() -> tuple[int, int]:
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 8
    if features.get("avx2") and features.get("fma"):
        return 32, 4
    return 16, 8 if features.get("neon") else 4


VECTORS = 3
VECTOR_BYTES, ROWS = _vector_bytes_and_rows()


@intrinsic  # type: ignore[untyped-decorator]
def lanes(typing_context: Any, array: Any) -> Any:
    """How many numbers of the array's dtype a vector holds."""
    count = 8 * VECTOR_BYTES // array.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(types.intp, count)

    return types.intp(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def address(typing_context: Any, array: Any, offset: Any) -> Any:
    """Where the number `offset` of a contiguous array lies."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(builder.gep(data, [args[1]]), INTEGER)

    return types.intp(array, types.intp), generate


class Vectors:
    """Writes instructions on vectors of numbers that are `size` bytes long, with an LLVM builder.

    v counts vectors from a pointer on; `count` says how many of a vector's numbers take part: none is touched beyond.
    """

    def __init__(self, builder: Any, scalar: Any, size: int):
        self.builder, self.size, self.width = builder, size, VECTOR_BYTES // size
        self.type = ir.VectorType(scalar, self.width)
        self.zero = ir.Constant(self.type, [0.0] * self.width)
        self._mask = ir.VectorType(ir.IntType(1), self.width)

    def at(self, pointer: Any, v: int = 0) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [INTEGER(v * self.width)]), self.type.as_pointer())

    def load(self, pointer: Any, v: int = 0) -> Any:
        value = self.builder.load(self.at(pointer, v))
        value.align = self.size
        return value

    def store(self, value: Any, pointer: Any, v: int = 0) -> None:
        self.builder.store(value, self.at(pointer, v)).align = self.size

    def spread(self, number: Any) -> Any:
        """The number in every lane."""
        first = self.builder.insert_element(
            ir.Constant(self.type, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        return self.shuffle(first, first, [0] * self.width)

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        """The numbers of a followed by b at the given places."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))

    def load_some(self, pointer: Any, count: Any, v: int = 0) -> Any:
        """Zeros in the lanes that take no part."""
        arguments = [self.at(pointer, v), ir.IntType(32)(self.size), self._first(count, v), self.zero]
        return self.builder.call(self._intrinsic("load", self.type, arguments), arguments)

    def store_some(self, value: Any, pointer: Any, count: Any, v: int = 0) -> None:
        arguments = [value, self.at(pointer, v), ir.IntType(32)(self.size), self._first(count, v)]
        self.builder.call(self._intrinsic("store", ir.VoidType(), arguments), arguments)

    def _first(self, count: Any, v: int) -> Any:
        """Which lanes of the v-th vector are among the first `count`."""
        many = ir.VectorType(INTEGER, self.width)
        counts = self.builder.insert_element(ir.Constant(many, ir.Undefined), count, ir.Constant(ir.IntType(32), 0))
        places = ir.Constant(many, [v * self.width + lane for lane in range(self.width)])
        return self.builder.icmp_signed("<", places, self.shuffle(counts, counts, [0] * self.width))

    def _intrinsic(self, what: str, result: Any, arguments: list[Any]) -> Any:
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        name = f"llvm.masked.{what}.v{self.width}f{8 * self.size}.p0"
        return cgutils.get_or_insert_function(self.builder.module, signature, name)
