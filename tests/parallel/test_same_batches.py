"""What all ranks are given, and what all of them have in the end."""

import os

import numpy as np
import pytest
from thread_ranks import on_ranks

import minirnn
from minirnn import GRU, Embedding, Linear, Sequential
from minirnn.data import streams
from minirnn.optim import SGD
from minirnn.parallel import DifferentRanksError
from minirnn.train import Checkpoints, EarlyStopping, TrainConfig, fit, task_experiment
from minirnn.train.language_model import next_token_loss

TOKENS = np.random.default_rng(0).integers(0, 7, 101)


def trained(comm, tokens=TOKENS, batches=list, **options):
    rng = np.random.default_rng(1)
    model = Sequential(Embedding(7, 4, rng=rng), GRU(4, 4, rng=rng), Linear(4, 7, rng=rng))
    every = batches(streams(tokens, 4, 5, epochs=1))
    last = fit(model, next_token_loss, every, SGD(model, lr=0.1), comm=comm, **options)
    return last.step, model.state_dict()


@pytest.mark.parametrize(("place", "says"), [(0, "the batches' fingerprint"), (99, r"data\.fingerprint on rank 1")])
def test_ranks_that_were_given_other_batches_are_told(place, says):
    """A share of its own for each rank is no share of one batch: at once where the first differs, else at the end."""
    mine = [TOKENS, TOKENS.copy()]
    mine[1][place] = (TOKENS[place] + 1) % 7
    with pytest.raises(DifferentRanksError, match=says):
        on_ranks(2, lambda comm: trained(comm, mine[comm.rank]))


def test_ranks_of_one_machine_divide_its_processors():
    minirnn.set_num_threads(64)
    seen = []
    on_ranks(2, lambda comm: trained(comm, callbacks=[lambda progress: seen.append(minirnn.get_num_threads())]))
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert set(seen) == {max(1, processors // 2)}


def late(rank):
    rng = np.random.default_rng(0)
    rng.random(rank)
    return rng


def long_state(rank):
    bits = np.random.MT19937(0)
    state = bits.state
    state["state"]["key"][300] += rank  # one of 624 numbers, of which repr shows six
    bits.state = state
    return np.random.Generator(bits)


@pytest.mark.parametrize(
    ("noise", "says"),
    [
        (np.random.default_rng, r"rng\.state\.state is \d+ on rank 1"),
        (late, r"rng\.state\.state is \d+ on rank 1"),
        (long_state, r"rng\.state\.key is uint32 \(624,\) with checksum"),
        (lambda rank: np.random.default_rng(0) if rank else None, "bit_generator is .PCG64. on rank 1, not there"),
    ],
    ids=["another seed", "another place", "in the middle", "none"],
)
def test_ranks_whose_noise_differs_are_told_before_the_first_step(noise, says):
    steps = []
    with pytest.raises(DifferentRanksError, match=says):
        on_ranks(2, lambda comm: trained(comm, rng=noise(comm.rank), callbacks=[steps.append]))
    assert steps == []


def test_noise_that_becomes_different_on_a_rank_is_never_saved(tmp_path):
    def go(comm):
        rng = np.random.default_rng(0)

        class Drawing(list):
            """Its batches take from the training's noise, on one rank alone."""

            def __iter__(self):
                for batch in super().__iter__():
                    rng.random(comm.rank)
                    yield batch

        return trained(comm, batches=Drawing, rng=rng, checkpoints=Checkpoints(tmp_path, every=2))

    with pytest.raises(DifferentRanksError, match=r"the replicas differ: rng\.state\.state on rank 1"):
        on_ranks(2, go)
    assert not Checkpoints(tmp_path).paths()


@pytest.mark.parametrize("task", ["reber", "adding"])
def test_a_task_is_scored_on_several_ranks_as_on_one(task):
    def scores(comm):
        experiment = task_experiment(TrainConfig(task=task, steps=1, hidden=8, batch=4), comm)
        return experiment.validate(experiment.model)

    for found in on_ranks(3, scores):
        assert found == pytest.approx(scores(None))


def test_the_best_weights_are_restored_on_every_rank():
    def go(comm):
        metrics = iter([1.0, 0.0, 2.0, 3.0, 4.0])
        options = {"validate": lambda model: next(metrics), "val_every": 1}
        return trained(comm, callbacks=[EarlyStopping(2, restore_best=True)], **options)

    (steps, first), (_, other) = on_ranks(2, go)
    _, twice = trained(None, steps=2)
    assert steps == 4
    assert all(np.array_equal(first[name], other[name]) for name in first)
    assert all(np.allclose(first[name], twice[name], atol=1e-6) for name in first)


@pytest.mark.filterwarnings("ignore::minirnn.train.InexactResumeWarning")
def test_ranks_agree_whether_a_stopped_training_goes_on(tmp_path):
    """Callbacks are rank 0's: it alone knows that the patience is another one."""

    def go(comm, patience):
        options = {"validate": lambda model: 1.0, "val_every": 1, "checkpoints": Checkpoints(tmp_path), "steps": 9}
        return trained(comm, callbacks=[EarlyStopping(patience)], resume=True, **options)[0]

    assert on_ranks(2, lambda comm: go(comm, 1)) == [2, 2]
    assert on_ranks(2, lambda comm: go(comm, 3)) == [4, 4]
