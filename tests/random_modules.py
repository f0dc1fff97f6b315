"""A hypothesis strategy for module trees with ties and frozen parameters, and what is expected of them.

`Expected` is worked out beside the Module, from the paths alone: which sites share an array, under which name, and
which are trained.
"""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

import minirnn
from minirnn import Buffer, Module, Parameter

SHAPES = [(), (3,), (2, 3), (0, 2)]
DTYPES = [np.float32, np.float64]


class Node(Module):
    """Leaves a0, a1, ... and children c0, c1, ..., each a Node, a list or a dict of Nodes."""

    def __init__(self, leaves, children):
        for i, (kind, array) in enumerate(leaves):
            setattr(self, f"a{i}", kind(array))
        for i, child in enumerate(children):
            setattr(self, f"c{i}", child)


def at(tree, path):
    """What stands under a dotted path."""
    for name in path.split("."):
        if isinstance(tree, (list, tuple, dict)):
            tree = {str(key): value for key, value in tree.items()}[name] if isinstance(tree, dict) else tree[int(name)]
        else:
            tree = getattr(tree, name)
    return tree


@dataclass
class Expected:
    """Every site in the order of definition, its home (its own path unless it is tied), and the frozen homes."""

    kinds: dict = field(default_factory=dict)
    home: dict = field(default_factory=dict)
    frozen: set = field(default_factory=set)

    def trained(self):
        return [p for p, home in self.home.items() if p == home and self.kinds[p] is Parameter and p not in self.frozen]

    def sites(self, home):
        return [p for p, h in self.home.items() if h == home]


def _node(draw, path, depth, expected, dtype):
    leaves, children = [], []
    for i in range(draw(st.integers(0 if depth else 1, 3))):
        kind = draw(st.sampled_from([Parameter, Parameter, Parameter, Buffer]))
        shape = draw(st.sampled_from(SHAPES))
        values = np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape)
        leaves.append((kind, np.asarray(values, dtype or draw(st.sampled_from(DTYPES)))))
        expected.kinds[f"{path}a{i}"] = kind
        expected.home[f"{path}a{i}"] = f"{path}a{i}"
    for i in range(draw(st.integers(0, 2)) if depth < 2 else 0):
        form = draw(st.sampled_from(["module", "list", "dict"]))
        below = f"{path}c{i}."
        if form == "module":
            children.append(_node(draw, below, depth + 1, expected, dtype))
        elif form == "list":
            children.append([_node(draw, f"{below}{j}.", depth + 1, expected, dtype) for j in range(2)])
        else:
            children.append({"left": _node(draw, f"{below}left.", depth + 1, expected, dtype)})
    return Node(leaves, children)


@st.composite
def module_trees(draw, dtype=None):
    """(model, Expected); every float array of one dtype if it is given."""
    expected = Expected()
    model = _node(draw, "", 0, expected, dtype)
    sites = list(expected.home)

    def form(path):
        return expected.kinds[path], at(model, path).shape, at(model, path).dtype

    for _ in range(draw(st.integers(0, 2))):
        first = draw(st.sampled_from(sites))
        second = draw(st.sampled_from([p for p in sites if form(p) == form(first)]))
        if first != second:
            minirnn.tie(model, first, second)
            joined = {expected.home[first], expected.home[second]}
            stays_frozen = expected.home[second] in expected.frozen
            expected.frozen = expected.frozen - joined | ({second} if stays_frozen else set())
            for path in sites:
                if expected.home[path] in joined:
                    expected.home[path] = second
        target = draw(st.sampled_from(sites))
        if expected.kinds[target] is Parameter and draw(st.booleans()):
            model.freeze(target)
            expected.frozen.add(expected.home[target])
    return model, expected
