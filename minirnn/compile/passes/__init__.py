"""What happens to a graph before code is made of it: each pass is a function from graph to graph, and changes no value.

fold       what is known, and what does nothing
share      what is computed twice
algebra    what derivative rules leave, as a person would write it
join       parts of gates together again, and products with them
regroup    sums and products in the order in which their terms are known
unfold     convolutions, for code that has loops: windows and products
alike      both sides of a product in its precision
narrow     slices towards the inputs, for code that fuses
"""

from collections.abc import Callable, Sequence

from minirnn.compile.ir import Graph
from minirnn.compile.passes.algebra import algebra
from minirnn.compile.passes.alike import alike
from minirnn.compile.passes.fold import fold
from minirnn.compile.passes.join import join
from minirnn.compile.passes.narrow import narrow
from minirnn.compile.passes.regroup import regroup
from minirnn.compile.passes.share import share
from minirnn.compile.passes.unfold import unfold

__all__ = ["FUSING", "PASSES", "optimised"]

Pass = Callable[[Graph], Graph]
PASSES: tuple[Pass, ...] = (alike, fold, share, algebra, fold, share, join, fold, algebra, regroup, share)
FUSING: tuple[Pass, ...] = (unfold, *PASSES, narrow, fold, share)


def optimised(graph: Graph, passes: Sequence[Pass] = PASSES) -> Graph:
    """The graph after all passes, in order."""
    for change in passes:
        graph = change(graph)
    return graph
