"""What parts of a batch count: ranks and accumulated batches make the update of one large batch, or refuse."""

import autograd.numpy as anp
import numpy as np
import pytest
from thread_ranks import on_ranks

import minirnn
from minirnn.data import IGNORED, Batches, Chunk, Sequences
from minirnn.layers import Linear, Sequential
from minirnn.losses import cross_entropy, mse
from minirnn.optim import SGD
from minirnn.parallel import step_weights
from minirnn.parallel.parts import judged
from minirnn.parallel.replicas import _looks_again
from minirnn.train import fit

RANDOM = np.random.default_rng(3)
XS = [RANDOM.standard_normal((n, 3)) for n in (7, 2, 5, 5, 1, 4, 6)]
EVEN = Sequences(RANDOM.standard_normal((7, 4, 3)), RANDOM.integers(0, 4, (7, 4)), per_step=True, classes=4)
RAGGED = Sequences(XS, [RANDOM.integers(0, 4, len(x)) for x in XS], per_step=True, classes=4)
VALUES = Sequences(XS, [RANDOM.standard_normal((len(x), 2)) for x in XS], per_step=True)


def scored(model, batch, reduction="mean", rng=None):
    outputs, _ = model(batch.inputs, lengths=batch.lengths, rng=rng)
    predictions, targets = batch.scored(outputs)
    if batch.loss == "mse":
        return outputs, mse(predictions, targets, reduction=reduction)
    return outputs, cross_entropy(predictions, targets, ignore_index=IGNORED, reduction=reduction)


def mean(model, batch, state, rng):
    return scored(model, batch, rng=rng)[1], None


def total(model, batch, state, rng):
    return scored(model, batch, "sum", rng)[1], None


def active(model, batch, state, rng):
    """Activation regularisation over all that is there, padding too."""
    outputs, loss = scored(model, batch, rng=rng)
    return loss + 0.3 * anp.mean(outputs**2), None


def decayed(model, batch, state, rng, reduction="mean"):
    return scored(model, batch, reduction, rng)[1] + 0.1 * sum(anp.sum(p**2) for p in model.parameters().values()), None


def each_sequence(model, batch, state, rng):
    """Every sequence counts alike, however long."""
    outputs, _ = model(batch.inputs, lengths=batch.lengths, rng=rng)
    losses = cross_entropy(outputs, batch.targets, ignore_index=IGNORED, reduction="none")
    return anp.mean(anp.sum(losses, axis=0) / batch.lengths), None


def trained(loss, data, comm=None, batch=7, **options):
    """Parameters and losses after some steps."""
    rng, losses = np.random.default_rng(0), []
    options = {"steps": 3, "rng": np.random.default_rng(1), **options}
    model = Sequential(
        minirnn.GRU(3, 5, rng=rng, dtype=np.float64),
        minirnn.Dropout(0.0 if options["rng"] is None else 0.2),
        Linear(5, data.output_size, rng=rng, dtype=np.float64),
    )
    fit(model, loss, Batches(data, batch, pool=1), SGD(model, lr=0.05), comm=comm,
        callbacks=[lambda progress: losses.append(progress.loss)], **options)  # fmt: skip
    return model.state_dict(), losses


def apart(one, other):
    assert len(one[1]) == len(other[1])
    return max(
        [float(np.abs(one[0][name] - other[0][name]).max()) for name in one[0]]
        + [*np.abs(np.subtract(one[1], other[1]))]
    )


COUNTED = [
    (mean, EVEN, "mean"),
    (mean, RAGGED, "mean"),
    (mean, VALUES, "mean"),
    (total, EVEN, "sum"),
    (total, RAGGED, "sum"),
    (total, VALUES, "sum"),
    (active, EVEN, "mean"),
    (decayed, RAGGED, "mean"),
    (each_sequence, RAGGED, lambda batch: batch.batch_size),
]
REFUSED = [
    (total, EVEN, "mean", 'give fit reduction="sum"'),
    (total, RAGGED, "mean", 'give fit reduction="sum"'),
    (mean, RAGGED, "sum", "is not a sum"),
    (active, RAGGED, "mean", "train it on one rank"),
    (lambda *args: decayed(*args, reduction="sum"), RAGGED, "sum", "train it on one rank"),
    (each_sequence, RAGGED, "mean", "give fit reduction=lambda batch: batch.batch_size"),
    (lambda *args: (anp.sqrt(mean(*args)[0]), None), RAGGED, "mean", "is not a mean over scored targets"),
]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize(("loss", "data", "reduction"), COUNTED)
def test_ranks_train_on_a_loss_of_ones_own_as_one_does(loss, data, reduction, ranks):
    one = trained(loss, data, reduction=reduction)
    found = on_ranks(ranks, lambda comm: trained(loss, data, comm, reduction=reduction))[0]
    assert apart(one, (found[0], found[1])) < 1e-12


@pytest.mark.parametrize(("loss", "data", "reduction"), COUNTED)
def test_accumulated_batches_are_one_large_batch(loss, data, reduction):
    """Batches of 3, 3 and 1, the shorter ones shorter by their padding too."""
    quiet = {"rng": None, "reduction": reduction, "steps": 2}
    assert apart(trained(loss, data, **quiet), trained(loss, data, batch=3, accumulate=3, **quiet)) < 1e-12


@pytest.mark.parametrize(("loss", "data", "reduction", "says"), REFUSED)
def test_a_loss_of_which_parts_do_not_make_the_whole_is_refused_before_anything_changes(loss, data, reduction, says):
    model = Sequential(minirnn.GRU(3, 5, dtype=np.float64), Linear(5, 4, dtype=np.float64))
    before = model.state_dict()

    def fitted(**options):
        return fit(model, loss, Batches(data, 7), SGD(model, lr=0.1), steps=2, **{"reduction": reduction, **options})

    with pytest.raises(ValueError, match=says):
        fitted(accumulate=2)
    with pytest.raises(ValueError, match=says):
        on_ranks(2, lambda comm: trained(loss, data, comm, reduction=reduction))
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    fitted()  # nothing is divided or added up
    fitted(accumulate=2, reduction="batches")


def test_what_goes_wrong_only_where_sequences_differ_is_noticed_there():
    even_first = Sequences([*EVEN.xs, *XS], [*EVEN.targets, *RAGGED.targets], per_step=True)
    with pytest.raises(ValueError, match="train it on one rank"):
        on_ranks(2, lambda comm: trained(active, even_first, comm))
    assert len(on_ranks(2, lambda comm: trained(active, EVEN, comm))[0][1]) == 3


def test_it_is_looked_at_again_at_steps_far_between():
    assert [step + 1 for step in range(5000) if _looks_again(step)] == [8, 64, 512, 4096]


def test_what_goes_wrong_only_later_is_noticed_when_it_is_looked_at_again():
    seen = []  # a validation of each rank at each step
    late = lambda *args: (active if len(seen) >= 8 else mean)(*args)
    options = {"steps": 12, "validate": lambda model: seen.append(model) or 0.0, "val_every": 1}
    with pytest.raises(ValueError, match="train it on one rank"):
        on_ranks(2, lambda comm: trained(late, RAGGED, comm, **options))
    assert len(seen) == 2 * 7


def test_ignored_tokens_are_counted_by_who_ignores_them():
    rng = np.random.default_rng(2)
    inputs, targets = rng.integers(0, 4, (2, 6, 4))
    targets[:, 0] = 0  # a stream of unknown tokens but one
    targets[3, 0] = 1
    chunks = [Chunk(inputs, targets, True)] * 2

    def loss(model, chunk, state, rng):
        outputs, _ = model(chunk.inputs)
        return cross_entropy(outputs, chunk.targets, ignore_index=0), None

    def run(comm, **more):
        made = np.random.default_rng(0)
        model = Sequential(
            minirnn.Embedding(4, 3, rng=made, dtype=np.float64), minirnn.RNN(3, 4, rng=made, dtype=np.float64)
        )
        return fit(model, loss, chunks, SGD(model, lr=0.1), comm=comm, **more).loss

    counted = {"reduction": lambda chunk: np.count_nonzero(chunk.targets)}
    assert np.allclose(on_ranks(2, lambda comm: run(comm, **counted))[0], run(None), rtol=1e-12)
    with pytest.raises(ValueError, match="is not a mean over scored targets"):
        on_ranks(2, run)
    ignored = Chunk(inputs, np.where(targets == 0, IGNORED, targets), True)
    assert ignored.scored_targets == np.count_nonzero(targets)


def test_batches_that_say_nothing_count_alike_where_they_have_one_shape():
    model = minirnn.RNN(2, 3, dtype=np.float64)

    def loss(model, batch, state, rng):
        return anp.mean(model(batch)[0] ** 2), None

    def run(*shapes, **more):
        batches = [np.ones(shape) for shape in shapes]
        return fit(model, loss, batches, SGD(model, lr=1e-9), accumulate=2, **more).loss

    assert run((4, 3, 2), (4, 3, 2)) > 0
    with pytest.raises(ValueError, match=r"different shapes.*reduction=a function"):
        run((4, 3, 2), (4, 1, 2))
    alone = [float(loss(model, np.ones(shape), None, None)[0]) for shape in ((4, 3, 2), (1, 1, 2))]
    assert np.isclose(run((4, 3, 2), (1, 1, 2), reduction="batches"), np.mean(alone))
    assert np.isclose(run((4, 3, 2), (1, 1, 2), reduction=np.size), np.average(alone, weights=[24, 2]))
    assert np.isclose(run((4, 3, 2), (1, 1, 2), reduction="sum"), np.sum(alone))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"reduction": "average"}, "reduction='average' came"),
        ({"reduction": lambda batch: -1.0, "accumulate": 2}, "reduction gives -1.0 for a batch"),
        ({"reduction": lambda batch: np.nan, "accumulate": 2}, "reduction gives nan for a batch"),
    ],
)
def test_a_reduction_that_is_none_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        trained(mean, EVEN, **options)
    with pytest.raises(ValueError, match="which divide batches; take one rank"):
        on_ranks(2, lambda comm: trained(mean, EVEN, comm, reduction="batches"))


def test_batches_in_which_nothing_counts_weigh_nothing():
    from minirnn.parallel import SINGLE, divide

    empty, some = (Chunk(np.zeros((2, 2), int), np.full((2, 2), target), True) for target in (IGNORED, 1))
    shares = [divide(chunk, SINGLE) for chunk in (empty, some)]
    assert step_weights(shares, "mean") == ([0.0, 2.0], 2)
    assert step_weights(shares[:1], "mean") == ([1.0], 1)


def test_one_stream_tells_nothing():
    assert judged(mean, Sequential(minirnn.GRU(3, 4)), EVEN.batch([0]), None, None, "mean") is None
