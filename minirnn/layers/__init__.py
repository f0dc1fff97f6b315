"""Layers and cells, one family a file: step function (the maths) -> Cell (its parameters) -> layer (its time loop)."""

from minirnn.layers.attention import AdditiveAttention, Attention, DotAttention, masked_softmax
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.cell import DeclaredCell, cell
from minirnn.layers.counted import Counted
from minirnn.layers.decoding import Decoded, beam_search, greedy_search
from minirnn.layers.deep_transition import DeepTransition
from minirnn.layers.dense import DenselyConnected
from minirnn.layers.dropout import Dropout
from minirnn.layers.embedding import Embedding
from minirnn.layers.embedding_dropout import EmbeddingDropout
from minirnn.layers.encoder_decoder import AttentionCell, AttentionDecoder, EncoderDecoder
from minirnn.layers.gru import GRU, GRUCell, gru_step
from minirnn.layers.highway import Highway
from minirnn.layers.initial_state import LearnedInitialState
from minirnn.layers.linear import Linear
from minirnn.layers.locked_dropout import VariationalDropout
from minirnn.layers.lstm import LSTM, LSTMCell, LSTMState, lstm_step
from minirnn.layers.norm import LayerNorm
from minirnn.layers.orthogonal import orthogonal
from minirnn.layers.pooling import Pool, last_valid_step, max_pool, mean_pool
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer
from minirnn.layers.recurrent_dropout import RecurrentDropoutGRUCell, RecurrentDropoutLSTMCell
from minirnn.layers.reparametrize import Parametrization, Reparametrized
from minirnn.layers.rnn import RNN, RNNCell, rnn_step
from minirnn.layers.sequential import Function, Sequential
from minirnn.layers.spectral_norm import spectral_norm
from minirnn.layers.stack import CellStack, Stacked
from minirnn.layers.time_reversed import TimeReversed
from minirnn.layers.weight_drop import WeightDrop
from minirnn.layers.weight_norm import weight_norm
from minirnn.layers.zoneout import Zoneout

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
    "Counted",
    "Bidirectional",
    "TimeReversed",
    "Stacked",
    "CellStack",
    "DenselyConnected",
    "Highway",
    "DeepTransition",
    "LearnedInitialState",
    "Sequential",
    "Function",
    "Linear",
    "Embedding",
    "Dropout",
    "LayerNorm",
    "VariationalDropout",
    "EmbeddingDropout",
    "RecurrentDropoutLSTMCell",
    "RecurrentDropoutGRUCell",
    "Zoneout",
    "WeightDrop",
    "weight_norm",
    "spectral_norm",
    "orthogonal",
    "Reparametrized",
    "Parametrization",
    "Pool",
    "last_valid_step",
    "mean_pool",
    "max_pool",
    "Attention",
    "AdditiveAttention",
    "DotAttention",
    "masked_softmax",
    "AttentionCell",
    "AttentionDecoder",
    "EncoderDecoder",
    "Decoded",
    "greedy_search",
    "beam_search",
]
