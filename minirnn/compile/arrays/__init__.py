"""Loop programs on NumPy: the slow twin of native code, and what runs where there is none.

printer     a loop program as the source of a Python function
views       its lines: memory, and views of it
program     the program of a cell
"""
