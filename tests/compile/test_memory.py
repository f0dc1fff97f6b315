"""What a compiled sequence keeps."""

import numpy as np
from compile_cases import cell_of, problem

import minirnn
from minirnn.call import Call
from minirnn.compile import engine
from minirnn.compile.program import Layout


def layout(cell) -> Layout:
    given = problem(cell)
    return engine.program_for(Call(*given, None, False, None)).layout


def test_an_lstm_stores_what_one_would_store_by_hand():
    """States h and c, four gates and tanh(c): 7 H numbers a row and step."""
    made = layout(cell_of("LSTM"))
    assert sum(np.prod(leaf.shape) for leaf in (*made.states, *made.stored)) == 7 * 3


def test_a_plain_network_stores_its_state_alone():
    made = layout(minirnn.RNNCell(2, 3, dtype=np.float64))
    assert [leaf.shape for leaf in made.states] == [(3,)]
    assert made.stored == ()
