"""Runs cells on native code for another target than this machine's own, in a process of its own; prints the errors.

python other_target.py AVX2 LSTM ConvLSTM ...
"""

import sys

from minirnn.compile.llvm import target


def run(names):
    import numpy as np
    from compile_cases import cell_of, error, problem

    from minirnn.call import Call
    from minirnn.compile.engine import program_for
    from minirnn.compile.llvm import objects
    from minirnn.tier import tier

    assert objects.host() is target.host()
    with tier("native"):
        for name in names:
            for dtype in (np.float64, np.float32):
                given = problem(cell_of(name, dtype), 6, 5)
                assert program_for(Call(*given, None, False, None)).native
                print(name, np.dtype(dtype).name, error(given, lengths=np.array([6, 1, 3, 2, 6])))


if __name__ == "__main__":
    chosen = getattr(target, sys.argv[1])._replace(triple="")
    target.host = lambda: chosen  # before anything asks what this machine is
    run(sys.argv[2:])
