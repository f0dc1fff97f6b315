"""How fast a cell is, beside its reference, its twins in PyTorch and JAX, and the machine: what `minirnn bench` prints.

    speed = compare(leaky_cell, twins={"torch": leaky_cell_torch, "jax": leaky_cell_jax})
    print(speed)                            # milliseconds a pass, and the ratios of times
    speed.rows[0].ratio("torch")            # time of minirnn's pass over PyTorch's

timing           medians of calls taken in turn, each library in a process of its own
cells            a cell at a size
passes           one pass over a batch of sequences, as each library makes it
twins            those of RNN, LSTM and GRU
comparison       all of it for one cell
"""

from minirnn.speed.comparison import SIZES, Row, Speed, compare
from minirnn.speed.passes import Pass

__all__ = ["SIZES", "Pass", "Row", "Speed", "compare"]
