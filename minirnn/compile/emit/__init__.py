"""NumPy source for a placed graph.

writer                      lines, and the text of an operation
numpy_homes, numpy_block    where values live, then the module
"""
