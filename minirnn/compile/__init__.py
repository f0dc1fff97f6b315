"""Engine "compiled": any cell's sequence kernel and its BPTT, derived from its step function.

trace, lower, lowered/        the step and its derivative as a graph
ir               the graph: typed nodes, as text, and computed in plain NumPy
passes/          from graph to graph
when, place, keep, buffers    what is known when, where each operation stands, what is stored, memory
emit/            code for it, in NumPy or in Numba
fuse, native     for Numba: loops over fused groups, what its code calls
reads, values, watch, walk    what a step reads outside itself, compared and watched
key, files, build             code found again: in memory, on disk
program, sequence             whole sequences through it: shares of the batch, blocks, checkpoints
engine, verify   its place among differentiable functions, and the check before first use
explain          what was made of a cell, for a reader

Nothing else of minirnn needs this folder.
"""
