"""Back-propagation through time by hand, in NumPy alone: one file a cell, its derivation beside its code.

`rnn`, `lstm`, `lstm_per_gate` and `gru` each have

    outputs, state, cache = forward(params, xs, state, lengths=None)
    grads, d_xs, d_state0 = backward(cache, d_outputs, d_state, truncate=None)

`char_lm` is the whole loss of a character language model, and `rtrl` gets the same gradients with no backward pass.
Written to be read: nothing here knows minirnn or autograd, so that agreement with either is evidence.

A cotangent is called d_: for a scalar loss L, d_h is dL/dh, shaped as h.
"""

from minirnn.bptt import char_lm, gru, lstm, lstm_per_gate, rnn, rtrl

__all__ = ["char_lm", "gru", "lstm", "lstm_per_gate", "rnn", "rtrl"]
