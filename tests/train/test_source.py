"""Batches: passes, ends, and a place that is found again, whatever falls on the end of a pass."""

import contextlib
import itertools
from functools import cache

import numpy as np
import pytest
from points import Batch, Point, squares
from test_resume import Stop, StopAt

from minirnn.data import Batches, Sequences, streams
from minirnn.data.tasks import AddingProblem
from minirnn.optim import SGD, cosine
from minirnn.train import CheckpointError, Checkpoints, fit
from minirnn.train.source import fingerprint

MADE = {
    "list": lambda n: [Batch(float(k)) for k in range(n)],
    "iterator": lambda n: iter([Batch(float(k)) for k in range(n)] * 9),
    "loader": lambda n: Loader(n),
    "resetting": lambda n: Resetting(n),
    "Batches": lambda n: Targets(dataset(n), 2, rng=np.random.default_rng(0)),
    "Batches of 9 epochs": lambda n: Targets(dataset(n), 2, epochs=9),
}


def dataset(batches, first=0.0):
    values = np.arange(2.0 * batches - 1) + first  # the last batch is smaller
    return Sequences([np.full((2, 1), value) for value in values], values)


class Targets(Batches):
    """Batches whose target is one number, as `squares` has it."""

    def item(self, n):
        return Batch(float(super().item(n).targets.mean()))


class Loader:
    """Batches in an order drawn anew each pass, from a generator that goes on."""

    def __init__(self, n):
        self.n, self.rng = n, np.random.default_rng(0)

    def __iter__(self):
        for k in self.rng.permutation(self.n):
            yield Batch(float(k))
        self.rng.random()  # what a pass does after its last batch counts too


class Resetting:
    """An iterator that its own __iter__ begins again."""

    def __init__(self, n):
        self.n, self.k = n, 0

    def __iter__(self):
        self.k = 0
        return self

    def __next__(self):
        if self.k == self.n:
            raise StopIteration
        self.k += 1
        return Batch(float(self.k))


def trained(batches, folder=None, every=1, resume=True, **options):
    """Where the point is in the end, and the steps and passes on the way there."""
    model, seen = Point(), []
    kept = {} if folder is None else {"checkpoints": Checkpoints(folder, every=every, keep=1), "resume": resume}
    callbacks = [seen.append, *options.pop("callbacks", ())]
    fit(model, squares, batches, SGD(model, lr=0.1), callbacks=callbacks, **kept, **options)
    return float(model.x[0]), [(p.step, p.epoch, p.loss) for p in seen]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)


@cache
def at_once(kind, n, accumulate, **length):
    """What every way to cut it is held against."""
    return trained(MADE[kind](n), accumulate=accumulate, **length)


@pytest.mark.parametrize("kind", MADE)
def test_pieces_give_the_whole_wherever_the_passes_end(kind, tmp_path):
    """Every number of batches, accumulation and cut, at a pass's end and within an accumulated step among them."""
    for n, accumulate, cut in itertools.product(range(1, 5), range(1, 4), range(1, 5)):
        folder = tmp_path / f"{n}-{accumulate}-{cut}"
        whole, steps = at_once(kind, n, accumulate, steps=7)
        _, first = trained(MADE[kind](n), folder, steps=cut, accumulate=accumulate)
        pieces, then = trained(MADE[kind](n), folder, steps=7, accumulate=accumulate)
        assert (pieces, first + then) == (whole, steps), (n, accumulate, cut)


COUNTED = ["list", "loader", "Batches", "resetting"]
BOTH = list(
    itertools.product(COUNTED, [1, 2, 3])
)  # a kind, and a save in so many steps: each of them once without wait
SOME = {("list", 3), ("loader", 2), ("Batches", 1), ("resetting", 2)}


@pytest.mark.parametrize(
    ("kind", "every"), [row if row in SOME else pytest.param(*row, marks=pytest.mark.slow) for row in BOTH]
)
def test_pieces_give_the_whole_where_passes_are_counted(kind, every, tmp_path):
    for n, accumulate, cut in itertools.product(range(1, 5), range(1, 4), range(1, 6)):
        folder, options = tmp_path / f"{n}-{accumulate}-{cut}", {"epochs": 3, "accumulate": accumulate}
        whole, steps = at_once(kind, n, **options)
        assert len(steps) == 3 * -(-n // accumulate)
        assert [epoch for _, epoch, _ in steps] == [e for e in range(3) for _ in range(-(-n // accumulate))]
        with contextlib.suppress(Stop):
            trained(MADE[kind](n), folder, every, callbacks=[StopAt(cut)], **options)
        pieces, then = trained(MADE[kind](n), folder, every, **options)
        kept = (cut - 1) // every * every if cut <= len(steps) else len(steps)
        assert (pieces, then) == (whole, steps[kept:]), (n, accumulate, cut)


@pytest.mark.parametrize("kind", COUNTED)
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_training_that_is_over_goes_on_with_more_epochs(kind, accumulate, tmp_path):
    whole = trained(MADE[kind](3), epochs=4, accumulate=accumulate)
    trained(MADE[kind](3), tmp_path, epochs=2, accumulate=accumulate)
    value, then = trained(MADE[kind](3), tmp_path, epochs=4, accumulate=accumulate)
    assert (value, then) == (whole[0], whole[1][len(whole[1]) // 2 :])


# ---------------------------------------------------------------- ends and lengths
def test_batches_that_know_their_passes_are_counted_in_them():
    """They came without an end, and so did the training."""
    _, seen = trained(Targets(dataset(3), 2), epochs=3)
    assert [epoch for _, epoch, _ in seen] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(trained(Targets(dataset(3), 2))[1]) == 3
    assert len(trained(Targets(dataset(3), 2, epochs=2))[1]) == 6
    assert len(trained(Targets(dataset(3), 2).start_at(2), epochs=2)[1]) == 4


def test_passes_are_counted_from_where_the_training_began(tmp_path):
    """Also after a resume, which is given batches that are at their beginning."""
    make, numbers = lambda: Targets(dataset(3), 2), []
    whole, steps = trained(make().start_at(2), epochs=2)
    with contextlib.suppress(Stop):
        trained(make().start_at(2), tmp_path, epochs=2, callbacks=[StopAt(3)])
    pieces = trained(make(), tmp_path, epochs=2, callbacks=[lambda p: numbers.append(p.steps)])
    assert (pieces, numbers) == ((whole, steps[2:]), [4, 4])


def test_a_schedule_knows_the_number_of_batches_that_know_their_end():
    numbers = []
    schedule = lambda steps: numbers.append(steps) or cosine(0.1, steps)
    chunks = lambda: streams(np.arange(25), 2, 3)
    loss = lambda model, batch, state, rng: squares(model, Batch(float(batch.inputs.mean())), state, rng)
    for batches, options in (
        (chunks(), {"epochs": 2}),
        (streams(np.arange(25), 2, 3, epochs=3), {"accumulate": 2, "reduction": "batches"}),
    ):
        model = Point()
        last = fit(model, loss, batches, SGD(model, lr=0.1), schedule=schedule, **options)
        assert last.step == last.steps == numbers[-1]
    assert numbers == [8, 6]


@pytest.mark.parametrize(
    ("batches", "options", "says"),
    [
        (lambda: iter([Batch(1.0)]), {"epochs": 2}, "a list_iterator, which can be gone through once"),
        (lambda: (Batch(1.0) for _ in range(3)), {"epochs": 3}, "a generator, which can be gone through once"),
        (lambda: Targets(dataset(3), 2, epochs=2), {"epochs": 3}, "epochs=3 came, these batches end after 2"),
        (lambda: AddingProblem(4).batches(np.random.default_rng(0), 2), {"epochs": 2}, "come without end; give steps"),
        (lambda: AddingProblem(4).batches(np.random.default_rng(0), 2), {}, "come without end; give steps"),
        (lambda: AddingProblem(4).batches(np.random.default_rng(0), 2, count=3), {"epochs": 2}, "have one pass"),
    ],
)
def test_passes_that_cannot_be_had_are_refused_before_the_first_step(batches, options, says):
    model = Point()
    with pytest.raises(ValueError, match=says):
        fit(model, squares, batches(), SGD(model, lr=0.1), **options)
    assert model.x == 0


def test_what_is_no_batches_is_an_error_of_its_own():
    with pytest.raises(TypeError, match="batches is a int, what can be iterated over"):
        trained(3, steps=1)


def test_an_iterator_of_ones_own_that_has_one_pass_is_an_error_where_more_are_wanted():
    class Once(Resetting):
        def __iter__(self):
            return self

    with pytest.raises(ValueError, match="epochs=2 came, and the batches gave none in pass 2"):
        trained(Once(3), epochs=2)


# ---------------------------------------------------------------- other batches than before
OTHER = {
    "list": (lambda: [Batch(1.0)] * 4, lambda: [Batch(2.0)] * 4),
    "the last that was taken": (lambda: [Batch(float(k)) for k in (1, 2, 3, 4)], lambda: [Batch(1.0), Batch(2.0)] * 2),
    "arrays": (lambda: [Batch(np.ones(9))] * 4, lambda: [Batch(np.eye(3).ravel())] * 4),
    "dtype": (lambda: [Batch(np.ones(3))] * 4, lambda: [Batch(np.ones(3, np.float32))] * 4),
    "shape": (lambda: [Batch(np.ones(4))] * 4, lambda: [Batch(np.ones((2, 2)))] * 4),
    "generator": (lambda: (Batch(1.0) for _ in range(9)), lambda: (Batch(2.0) for _ in range(9))),
    "dataset": (lambda: Targets(dataset(4), 2), lambda: Targets(dataset(4, first=1.0), 2)),
    "with a place": (lambda: [Batch(1.0)] * 4, lambda: Targets(dataset(4), 2)),
    "without a place": (lambda: Targets(dataset(4), 2), lambda: [Batch(1.0)] * 4),
    "more in a pass": (lambda: [Batch(1.0)] * 3, lambda: [Batch(1.0)] * 4),
    "fewer in a pass": (lambda: [Batch(1.0)] * 4, lambda: [Batch(1.0)] * 3),
}


@pytest.mark.parametrize(("before", "now"), OTHER.values(), ids=OTHER)
def test_other_batches_than_before_are_refused(before, now, tmp_path):
    loss = lambda model, batch, state, rng: squares(model, Batch(np.asarray(batch.target).mean()), state, rng)
    checkpoints, model = Checkpoints(tmp_path), Point()
    fit(model, loss, before(), SGD(model, lr=0.1), steps=4, accumulate=1, checkpoints=checkpoints, resume=True)
    model = Point(7.0)
    with pytest.raises(CheckpointError, match=r"there are not so many|other batches|checksum|a place in the batches"):
        fit(model, loss, now(), SGD(model, lr=0.1), steps=9, checkpoints=checkpoints, resume=True)
    assert model.x == 7


@pytest.mark.parametrize("part", [slice(0, 10), slice(2_000, 2_010), slice(-10, None)])
@pytest.mark.parametrize("apart", [False, True])
def test_a_batch_is_looked_at_from_its_beginning_to_its_end(part, apart):
    batch = np.arange(8_000.0)[::2] if apart else np.arange(4_000.0)  # about every fourth entry is looked at
    other = batch.copy()
    other[part] += 1
    assert fingerprint(batch) == fingerprint(batch.copy()) != fingerprint(other)
    assert fingerprint(batch, 1) != fingerprint(batch)


@pytest.mark.parametrize("place", [0, 5_000, 10_000, 19_999])
def test_streams_of_other_tokens_are_told_apart_wherever_they_differ(place):
    """At the ends of what was once looked at, between them, and at the end of all."""
    tokens = np.arange(20_000) % 251
    other = tokens.copy()
    other[place] += 1
    state = streams(tokens.astype(np.uint8), 2, 8).state_dict()
    streams(tokens, 2, 8).load_state_dict(state)  # another dtype is no other text
    with pytest.raises(ValueError, match="checksum="):
        streams(other, 2, 8).load_state_dict(state)


@pytest.mark.parametrize("change", [0, 149])
def test_sequences_that_differ_in_one_number_are_told_apart(change):
    values = np.arange(300.0).reshape(150, 2, 1)
    other = values.copy()
    other[change, 1] += 1
    state = Batches(Sequences(values, np.zeros(150)), 4).state_dict()
    with pytest.raises(ValueError, match="checksum="):
        Batches(Sequences(other, np.zeros(150)), 4).load_state_dict(state)
