"""Trainings on several ranks, which are threads here: what one rank computes on the whole batch."""

import numpy as np
import pytest
from thread_ranks import on_ranks
from trainings import apart, ragged, text

from minirnn.optim import SGD
from minirnn.parallel import DifferentRanksError
from minirnn.train import Checkpoints, DivergedError, fit, read_checkpoint

ROUNDING = 1e-10


@pytest.fixture(scope="module")
def one():
    return text(steps=40)


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_compute_what_one_computes(ranks, one):
    """5 streams, two layers, dropout, two accumulated batches, clipping, validation; of 7 ranks two have no stream."""
    results = on_ranks(ranks, lambda comm: text(comm, steps=40))
    parameters, figures = apart(one, results[0])
    assert max(parameters, figures) < ROUNDING
    assert ranks > 1 or parameters == figures == 0
    for other, losses in results[1:]:
        assert not losses  # callbacks are rank 0's
        assert all(np.array_equal(other[name], array) for name, array in results[0][0].items())


@pytest.mark.parametrize("kind", ["classes", "one class", "values"])
def test_ragged_batches_are_weighted_by_their_targets(kind):
    """23 sequences in batches of 5: the last one has 3."""
    found = on_ranks(3, lambda comm: ragged(comm, kind=kind))[0]
    assert max(apart(ragged(kind=kind), found)) < ROUNDING


@pytest.mark.parametrize("cell", ["gru", "RHN"])
def test_states_of_other_cells_are_divided_too(cell, tmp_path):
    whole = text(steps=14, cell=cell)
    save = lambda comm, steps, resume: text(
        comm, steps=steps, cell=cell, checkpoints=Checkpoints(tmp_path, every=3), resume=resume
    )
    on_ranks(2, lambda comm: save(comm, 7, False))
    with pytest.warns(UserWarning, match="ranks was 2, is 1"):
        rest = save(None, 14, True)
    assert max(np.abs(whole[0][name] - rest[0][name]).max() for name in whole[0]) < ROUNDING


@pytest.mark.filterwarnings("ignore:the training is resumed")
@pytest.mark.parametrize(("before", "after"), [(3, 2), (2, 3), (1, 3)])
def test_a_checkpoint_of_n_ranks_resumes_on_m(before, after, one, tmp_path):
    save = lambda comm, steps: text(comm, steps=steps, checkpoints=Checkpoints(tmp_path, every=5), resume=True)
    on_ranks(before, lambda comm: save(comm, 17))
    parameters, losses = on_ranks(after, lambda comm: save(comm, 40))[0]
    assert max(apart((one[0], one[1][17:]), (parameters, losses))) < ROUNDING


def test_the_checkpoint_of_several_ranks_is_that_of_one(tmp_path):
    text(steps=6, checkpoints=Checkpoints(tmp_path / "1"))
    on_ranks(2, lambda comm: text(comm, steps=6, checkpoints=Checkpoints(tmp_path / "2")))
    one, two = (read_checkpoint(Checkpoints(tmp_path / n).paths("step")[0]) for n in "12")
    assert one["rng"]["state"] == two["rng"]["state"]
    assert one["data"] == two["data"]
    assert one["carried"].keys() == two["carried"].keys()
    for name, array in one["carried"].items():
        np.testing.assert_allclose(two["carried"][name], array, atol=1e-12)
    assert two["environment"]["ranks"] == 2
    assert "ranks" not in one["environment"]


def test_a_step_that_is_not_finite_is_skipped_by_all(monkeypatch):
    import trainings

    def poisoned(model, chunk, state, rng):
        loss, state = trainings.next_token_loss(model, chunk, state, rng)
        first = chunk.inputs[:, 0] if chunk.batch_size else chunk.inputs
        return (loss * np.nan if (first[:3] == POISON).all() else loss), state

    POISON = trainings.TOKENS[np.array([8 * 4, 8 * 4 + 1, 8 * 4 + 2])]  # of stream 0's fifth chunk
    original = trainings.fit
    monkeypatch.setattr(trainings, "fit", lambda model, loss, *rest, **more: original(model, poisoned, *rest, **more))
    one = text(steps=9, on_nonfinite="skip")
    found = on_ranks(2, lambda comm: text(comm, steps=9, on_nonfinite="skip"))[0]
    assert np.isnan(one[1][2][0])
    assert np.isnan(found[1][2][0])
    assert max(apart((one[0], [(0.0,)]), (found[0], [(0.0,)]))) < ROUNDING
    with pytest.raises(DivergedError, match="at step 3, rank 0: the loss is nan"):
        on_ranks(2, lambda comm: text(comm, steps=9))


def test_a_callbacks_stop_is_everyones():
    class Training:
        def __init__(self):
            self.seen = 0

    from minirnn.train import Callback

    class StopAt(Callback):
        def on_step(self, training, progress):
            if progress.step == 6:
                training.stop("enough")

    results = on_ranks(3, lambda comm: text(comm, steps=40, callbacks=[StopAt()]))
    expected = text(steps=6)
    assert max(np.abs(expected[0][name] - results[2][0][name]).max() for name in expected[0]) < ROUNDING


def test_rank_0s_parameters_are_everyones():
    results = on_ranks(2, lambda comm: text(comm, steps=5, seed=comm.rank))
    assert apart((text(steps=5)[0], [(0.0,)]), (results[1][0], [(0.0,)]))[0] < ROUNDING


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (lambda rank: {"accumulate": 1 + rank}, "fit.accumulate is 2 on rank 1, 1 on rank 0"),
        (lambda rank: {"steps": 5 + rank}, "length.steps is 6 on rank 1, 5 on rank 0"),
        (lambda rank: {"batch": 5 - rank}, "batches.batch is 4 on rank 1, 5 on rank 0"),
    ],
)
def test_ranks_with_other_arguments_are_told_before_the_first_step(options, says):
    with pytest.raises(DifferentRanksError, match=says):
        on_ranks(2, lambda comm: text(comm, **options(comm.rank)))


def test_replicas_that_become_different_are_an_error(tmp_path):
    class OwnWay(SGD):
        def __init__(self, model, rank):
            super().__init__(model, lr=0.1)
            self.rank = rank

        def step(self, grads):
            super().step({name: g * (1 + 1e-9 * self.rank) for name, g in grads.items()})

    import trainings

    def work(comm):
        model = trainings.LanguageModel(7, "gru", 4, rng=np.random.default_rng(0), dtype=np.float64)
        optimizer = OwnWay(model, comm.rank)
        batches = trainings.streams(trainings.TOKENS, 4, 8)
        fit(model, trainings.next_token_loss, batches, optimizer, steps=8, comm=comm,
            checkpoints=Checkpoints(tmp_path, every=4))  # fmt: skip

    with pytest.raises(DifferentRanksError, match=r"the replicas differ: model\..* on rank 1"):
        on_ranks(2, work)
    assert not Checkpoints(tmp_path).paths()
