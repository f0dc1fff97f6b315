"""One gradient, derived several ways and held equal: what `minirnn check` prints.

    comparison = compare(LSTMCell(3, 4))
    comparison.ok                                    # every derivation agrees with autograd's
    comparison.findings["BPTT by hand"].error        # worst relative error, 5e-16
    print(comparison)

The objective is sum(outputs * a) + sum(final state * b) with uneven random a and b, from a random initial state, over
sequences of different lengths, in float64; differentiated are the cell's parameters, its input and its initial state.
The reference is autograd's reverse mode through the reference time loop; every other derivation is an entry of METHODS.
"""

from minirnn.derivations.comparison import METHODS, Comparison, builtin_cells, compare, methods, registered_cells
from minirnn.derivations.problem import Finding, NotApplicable, Problem

__all__ = [
    "METHODS",
    "Comparison",
    "Finding",
    "NotApplicable",
    "Problem",
    "builtin_cells",
    "compare",
    "methods",
    "registered_cells",
]
