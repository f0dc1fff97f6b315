"""Source code for a placed graph.

writer                                      lines, and what both emitters write in the same way
numpy_homes, numpy_block                    NumPy: where values live, then the module
numba_memory, numba_loops, numba_block      Numba: where values live, loops over rows, then the module
"""
