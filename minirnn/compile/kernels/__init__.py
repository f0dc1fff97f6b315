"""Native functions of arrays beside the time loop: what a training step does beside its layers.

kernel      a loop program as a function that is called for many arrays at once
rows        rows of tables and of logits, and sums of squares: their loop programs
entrywise   what was noted of NumPy's functions on one entry (minirnn/optim/noted.py), as one loop

Each has a slow twin in NumPy, which runs where there is no native code: it stands where the function is called.
"""

from minirnn.compile.kernels.entrywise import entrywise
from minirnn.compile.kernels.rows import gather, kept, softmax, squares, summed_rows

__all__ = ["entrywise", "gather", "kept", "softmax", "squares", "summed_rows"]
