"""Whatever is iterated over goes on from a saved position as if it had never stopped."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import Batches, Lines, Vocabulary, streams
from minirnn.data.tasks import AddingProblem, EmbeddedReber, Reber

LINES = Lines(["anna", "bo", "", "christopher", "di", "eve", "f"], Vocabulary("abcdefghinoprstv"))
ITERATORS = {
    "streams": lambda rng: streams(np.arange(50) % 7, 3, 4),
    "streams-of-2-epochs": lambda rng: streams(np.arange(50) % 7, 3, 4, epochs=2),
    "shuffled": lambda rng: Batches(LINES, 2, rng=rng, pool=2),
    "in-order": lambda rng: Batches(LINES, 3, epochs=3),
    "task": lambda rng: AddingProblem(5).batches(rng, 2),
    "task-9-times": lambda rng: Reber().batches(rng, 2, count=9),
}
ALL = pytest.mark.parametrize("make", ITERATORS.values(), ids=ITERATORS)


def taken(iterator, count):
    return list(itertools.islice(iterator, count))


def assert_same(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@ALL
@given(stop=st.integers(0, 15), more=st.integers(1, 9))
def test_a_resumed_iterator_equals_the_uninterrupted_one(make, stop, more):
    whole, stopped = make(np.random.default_rng(1)), make(np.random.default_rng(1))
    whole, first = taken(whole, stop + more), taken(stopped, stop)
    resumed = make(np.random.default_rng(2))
    taken(resumed, 1)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert resumed.position == len(first)
    assert_same(whole, first + taken(resumed, more))


@ALL
def test_any_item_is_had_without_those_before_it(make):
    items = taken(make(np.random.default_rng(1)), 8)
    for n in (7, 0, 3):
        iterator = make(np.random.default_rng(1))
        assert_same([iterator.item(n)], [items[n]])
        assert_same(taken(iterator.start_at(n), 1), [items[n]])


def test_another_rng_gives_other_items():
    for make in (ITERATORS["shuffled"], ITERATORS["task"]):
        some, others = (taken(make(np.random.default_rng(seed)), 4) for seed in (1, 2))
        assert any(not np.array_equal(a.inputs, b.inputs) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (streams(np.arange(50) % 7, 3, 5), "seq_length=5 came, this Streams has seq_length=4"),
        (streams(np.arange(51) % 7, 3, 4), "tokens=51 came"),
        (streams(np.arange(50) % 6, 3, 4), "checksum="),
        (Batches(LINES, 2), "no state of Streams"),
    ],
)
def test_the_state_of_another_iterator_is_refused(other, says):
    iterator = ITERATORS["streams"](None)
    next(iterator)
    with pytest.raises(ValueError, match=says):
        iterator.load_state_dict(other.state_dict())
    assert iterator.position == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"position": -1}, "position=-1 came"),
        ({"position": 10}, "position=10 came, 0 to 9"),
        ({"position": "1"}, "position='1' came"),
        ({"position": True}, "position=True came"),
        ({"seed": None}, "leave out rng="),
        ({"seed": -1}, "seed=-1 came"),
        ({"size": 2.0}, "size=2.0 came"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(change, says):
    iterator = ITERATORS["task-9-times"](np.random.default_rng(0))
    before = iterator.state_dict()
    with pytest.raises(ValueError, match=says):
        iterator.load_state_dict(before | change)
    assert iterator.state_dict() == before


def test_tasks_with_the_same_options_are_told_apart(rng):
    with pytest.raises(ValueError, match="task='embedded-reber' came"):
        Reber().batches(rng, 2).load_state_dict(EmbeddedReber().batches(rng, 2).state_dict())


@pytest.mark.parametrize("position", [-1, 10])
def test_a_position_out_of_range_is_refused(position, rng):
    with pytest.raises(ValueError, match="0 to 9 was expected"):
        ITERATORS["task-9-times"](rng).start_at(position)
