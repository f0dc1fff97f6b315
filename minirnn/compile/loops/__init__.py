"""From a placed graph to loop programs.

memory       where values live: flat memory, and places in it
groups       loops over rows, of groups of operations
direction    the forward or the backward pass, from these
program      the loop program: plain data, which printers and the interpreter read
interpreter  its slow twin, which checks every index
listing      a loop program as text
"""
