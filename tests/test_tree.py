from typing import NamedTuple

import numpy as np
import pytest

from minirnn import Linear, Module, tree


class Point(NamedTuple):
    x: object
    y: object


NEST = {"a": (1, [2, None]), "b": Point(3, {"c": 4})}


def test_leaves_come_in_order_with_dotted_paths():
    assert list(tree.named_leaves(NEST)) == [("a.0", 1), ("a.1.0", 2), ("b.x", 3), ("b.y.c", 4)]
    assert list(tree.named_leaves(5)) == [("", 5)]
    assert tree.leaves(None) == []


def test_map_keeps_the_nesting():
    assert tree.map(lambda a, b: a * b, NEST, NEST) == {"a": (1, [4, None]), "b": Point(9, {"c": 16})}


def test_flatten_and_rebuild_is_a_round_trip():
    leaves, rebuild = tree.flatten(NEST)
    assert rebuild(leaves) == NEST
    with pytest.raises(ValueError, match="3 leaves came, the nesting holds 4"):
        rebuild(leaves[:3])


@pytest.mark.parametrize("other", [{"a": (1, [2]), "b": 3}, (1, 2), {"b": Point(3, {"c": 4}), "a": (1, [2, None])}])
def test_map_refuses_other_nestings(other):
    with pytest.raises(ValueError, match="nestings differ"):
        tree.map(lambda a, b: a, NEST, other)


def test_a_module_is_a_nesting_of_its_arrays():
    model = Linear(2, 3)
    doubled = tree.map(lambda array: 2 * array, {"model": model})["model"]
    assert isinstance(doubled, Linear)
    assert np.array_equal(doubled.weight, 2 * model.weight)
    assert [path for path, _ in tree.named_leaves(model)] == ["weight", "bias"]
    assert tree.flatten([model], whole=Module)[0] == [model]


def test_nothing_is_no_leaf_also_where_it_is_the_first_that_a_process_sees():
    tree._found.clear()
    leaves, rebuild = tree.flatten((1.0, (None, 2.0)))
    assert leaves == [1.0, 2.0]
    assert rebuild(leaves) == (1.0, (None, 2.0))
