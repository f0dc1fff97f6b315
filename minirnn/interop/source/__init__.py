"""A cell as one readable file of another framework, with its derived backward pass; nothing of minirnn runs in it.

    write("LSTM", "lstm_torch.py", to="torch")

what        which cell, and how it is built at several sizes
start       how its parameters start
names       what its values are called
plan        what stands before, in and behind the loop over time
expressions an operation as text; torch_dialect, jax_dialect
content     all of that, for one size; torch_file and jax_file write it down
sizes       one text for every size
"""

from minirnn.interop.source.write import source, write

__all__ = ["source", "write"]
