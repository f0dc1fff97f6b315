"""Machine code through LLVM.

target       how wide vectors are, and which tiles of a product fit into registers
text         LLVM's assembly, a function at a time
curves       elementwise operations; exp and tanh are ours
tiles        a tile of a product, whose sums stay in registers
products     products on matrices that are packed once
printer      a loop program as a function
objects      object files, on disk and in this process
"""
