"""The kernels with their time loops compiled by Numba, and products on weights packed once a sequence.

curves      tanh, vectorised
tile, gemm  matrix products
products    what the three cells share
rnn, lstm, gru
"""

from minirnn.kernels import rnn as simple
from minirnn.kernels.kernel import Kernel
from minirnn.kernels.native.gru import NativeGRU
from minirnn.kernels.native.lstm import NativeLSTM
from minirnn.kernels.native.rnn import NativeSimple

__all__ = ["KERNELS"]

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        NativeLSTM(),
        NativeGRU(),
        NativeSimple("rnn_tanh", *simple.TANH),
        NativeSimple("rnn_relu", *simple.RELU),
    )
}
