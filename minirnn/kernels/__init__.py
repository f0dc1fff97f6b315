"""Engine "fused": whole sequences of RNN, LSTM and GRU, forward and by hand-written back-propagation through time.

rnn, lstm, gru    a cell's forward, backward and tangent over a block of steps, in NumPy: the maths
kernel            what those three share: the products around their time loops
sequence          a sequence as blocks of steps and shares of the batch: caches, recomputation, threads
call              the engine: what it can run, and its place among differentiable functions
workspace         memory used again from call to call
native/           the same loops compiled, where Numba is installed
tier              which of the two runs
"""

from minirnn.kernels.call import refusal, run

__all__ = ["refusal", "run"]
