"""minirnn: a recurrent cell is a pure function; its layer, its gradient and the proof of it follow from that function.

model = minirnn.Sequential(Embedding(65, 64), LSTM(64, 128), Linear(128, 65))     # layers
value, grads = minirnn.value_and_grad(loss)(model, xs)                            # transforms
minirnn.optim.Adam(model, lr=1e-3).step(grads)                                    # optimisers
"""

from minirnn import functional, gradcheck, init, losses, optim
from minirnn.engines import engine, scan
from minirnn.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Cell,
    Dropout,
    Embedding,
    Function,
    GRUCell,
    LayerNorm,
    Linear,
    LSTMCell,
    LSTMState,
    Recurrent,
    RNNCell,
    Sequential,
    Stacked,
    cell,
    cells,
    gru_step,
    lstm_step,
    rnn_step,
)
from minirnn.module import Buffer, Module, Parameter, tie
from minirnn.saving import load, save
from minirnn.threads import get_num_threads, set_num_threads
from minirnn.transform import (
    StaleBoxError,
    UnreachedWarning,
    grad,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)

__version__ = "0.1.0"

__all__ = [
    # a model is a tree of named arrays
    "Module",
    "Parameter",
    "Buffer",
    "tie",
    "save",
    "load",
    # derivatives of functions of models and arrays
    "grad",
    "value_and_grad",
    "vjp",
    "jvp",
    "hvp",
    "jacobian",
    "stop_gradient",
    "StaleBoxError",
    "UnreachedWarning",
    # cells of your own, and the time loop
    "cell",
    "cells",
    "Cell",
    "scan",
    "engine",
    "set_num_threads",
    "get_num_threads",
    "Recurrent",
    "Bidirectional",
    "Stacked",
    "Sequential",
    "Function",
    # the classic cells: step, cell, layer
    "rnn_step",
    "RNNCell",
    "RNN",
    "lstm_step",
    "LSTMState",
    "LSTMCell",
    "LSTM",
    "gru_step",
    "GRUCell",
    "GRU",
    # what stands before, between and behind
    "Linear",
    "Embedding",
    "Dropout",
    "LayerNorm",
    # modules of functions
    "functional",
    "losses",
    "init",
    "optim",
    "gradcheck",
]
