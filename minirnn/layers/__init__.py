"""Layers and cells, one family a file: step function (the maths) -> Cell (its parameters) -> layer (its time loop)."""

from minirnn.layers.cell import DeclaredCell, cell
from minirnn.layers.dropout import Dropout
from minirnn.layers.embedding import Embedding
from minirnn.layers.gru import GRU, GRUCell, gru_step
from minirnn.layers.linear import Linear
from minirnn.layers.lstm import LSTM, LSTMCell, LSTMState, lstm_step
from minirnn.layers.norm import LayerNorm
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer
from minirnn.layers.rnn import RNN, RNNCell, rnn_step
from minirnn.layers.stack import Bidirectional, CellStack, Function, Sequential, Stacked

__all__ = [
    "RNN",
    "RNNCell",
    "rnn_step",
    "LSTM",
    "LSTMCell",
    "LSTMState",
    "lstm_step",
    "GRU",
    "GRUCell",
    "gru_step",
    "Cell",
    "DeclaredCell",
    "cell",
    "Recurrent",
    "RecurrentLayer",
    "Bidirectional",
    "Stacked",
    "CellStack",
    "Sequential",
    "Function",
    "Linear",
    "Embedding",
    "Dropout",
    "LayerNorm",
]
