"""The kernels with their time loops compiled by Numba, and products on weights packed once a sequence.

curves      tanh, vectorised
tile, gemm  matrix products
products    what the three cells share
rnn, lstm, gru
"""

import numpy as np

from minirnn.kernels import rnn as simple
from minirnn.kernels.kernel import Kernel
from minirnn.kernels.native.gru import NativeGRU
from minirnn.kernels.native.lstm import NativeLSTM
from minirnn.kernels.native.products import packed
from minirnn.kernels.native.rnn import NativeSimple
from minirnn.kernels.workspace import Workspace

__all__ = ["KERNELS", "probe"]

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        NativeLSTM(),
        NativeGRU(),
        NativeSimple("rnn_tanh", *simple.TANH),
        NativeSimple("rnn_relu", *simple.RELU),
    )
}


def probe() -> None:
    """Compile something small: a Numba that imports and cannot compile is found out here. Raises what it raises."""
    packed(Workspace("probe"), "probe", np.ones((1, 1), np.float32))
