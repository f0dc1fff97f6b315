"""What a machine's vector units are like: how wide, and how large a tile of a product its registers hold."""

from functools import cache
from typing import NamedTuple

__all__ = ["AVX2", "AVX512", "NEON", "PLAIN", "Target", "host"]


class Target(NamedTuple):
    """tiles: (rows, vectors) of the tiles of a product, the most rows first; one row last, for a batch of one.

    A tile keeps rows * vectors sums, `vectors` of the right side and one of the left in registers.
    """

    name: str
    triple: str  # "" for this machine's
    cpu: str
    features: str
    vector_bytes: int
    tiles: tuple[tuple[int, int], ...]

    def lanes(self, dtype: str) -> int:
        """How many numbers of a dtype a vector holds."""
        return self.vector_bytes * 8 // int(dtype.lstrip("floatin"))


_WIDE = ((8, 3), (4, 4), (2, 8), (1, 8))  # 32 registers
_NARROW = ((4, 3), (2, 4), (1, 8))  # 16 registers

AVX512 = Target("avx512", "x86_64-unknown-linux-gnu", "skylake-avx512", "", 64, _WIDE)
AVX2 = Target("avx2", "x86_64-unknown-linux-gnu", "haswell", "", 32, _NARROW)
NEON = Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, _WIDE)
PLAIN = Target("plain", "", "", "", 16, _NARROW)


@cache
def host() -> Target:
    """This machine's."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl"):
        like = AVX512
    elif features.get("avx2") and features.get("fma"):
        like = AVX2
    else:
        like = NEON if features.get("neon") else PLAIN
    return like._replace(triple="", cpu=llvm.get_host_cpu_name(), features=features.flatten())
