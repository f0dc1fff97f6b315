"""Engine "compiled": any cell's sequence kernel and its BPTT, derived from its step function.

trace, lower, lowered/        the step and its derivative as a graph
ir               the graph: typed nodes, as text, and computed in plain NumPy
passes/          from graph to graph
when, place, keep             what is known when, where each operation stands, what is stored
fuse, loops/     operations in groups, and the loop program: what happens when, as plain data
kernels/         functions beside the time loop: rows of tables, softmax, norms, update rules
llvm/, native    a loop program as machine code, and the calls of it
arrays/, calls   a loop program as NumPy, for where there is no native code
nodes            node by node, for what no loop program holds
reads, values, watch, walk    what a step reads outside itself, compared and watched
key, build       programs found again, and made
program, sequence, order      whole sequences through it: shares of the batch, blocks, checkpoints, lengths
shares, workspace             threads' shares, and memory that is used again
engine, verify   which calls it takes, and the check before first use
rule, moving     its place among differentiable functions: backward, tangents, second derivatives
explain          what was made of a cell, for a reader

Nothing else of minirnn needs this folder.
"""
