import autograd.numpy as anp
import numpy as np
import pytest
from points import Batch, Point, squares

import minirnn
from minirnn import Parameter
from minirnn.optim import SGD, ReduceOnPlateau, cosine, linear
from minirnn.train import EMA, NTASGD, Callback, Checkpoints, DivergedError, EarlyStopping, Training, fit


def train(batches, lr=0.25, loss=squares, start=0.0, **options):
    """The trained point, and the progress of each step."""
    model, seen = Point(start), []
    callbacks = [seen.append, *options.pop("callbacks", ())]
    last = fit(model, loss, batches, SGD(model, lr=lr), callbacks=callbacks, **options)
    assert last == seen[-1]
    return model, seen


# ---------------------------------------------------------------- steps
def test_every_batch_is_one_update():
    model, seen = train([Batch(1.0)] * 3)
    assert np.allclose(model.x, 1 - 0.5**3)
    assert [p.step for p in seen] == [1, 2, 3]
    assert [p.loss for p in seen] == [1, 0.25, 0.0625]
    assert seen[0].grad_norm == 2


@pytest.mark.parametrize(("carry", "expected"), [(True, [None, 2.0, None]), (False, [None] * 3)])
def test_the_state_is_carried_as_plain_arrays_and_cut_where_a_batch_starts(carry, expected):
    states = []

    def loss(model, batch, state, rng):
        states.append(state)
        return anp.sum(model.x**2), model.x * 2

    train([Batch(0, True), Batch(0), Batch(0, True)], loss=loss, start=1.0, carry=carry)
    assert [None if state is None else float(state[0]) for state in states] == expected
    assert all(state is None or type(state) is np.ndarray for state in states)


def test_steps_end_it_and_a_schedule_sees_their_number():
    _, seen = train([Batch(1.0)] * 3, lr=9.0, steps=4, schedule=lambda steps: linear(0.4, steps))
    assert np.allclose([p.lr for p in seen], [0.4, 0.3, 0.2, 0.1])
    assert [(p.steps, p.epoch) for p in seen] == [(4, 0)] * 3 + [(4, 1)]


def test_epochs_are_passes_over_the_batches():
    _, seen = train([Batch(1.0), Batch(2.0)], epochs=3)
    assert [(p.step, p.steps, p.epoch) for p in seen] == [
        (1, 6, 0), (2, 6, 0), (3, 6, 1), (4, 6, 1), (5, 6, 2), (6, 6, 2)]  # fmt: skip


def test_an_iterator_has_one_pass():
    assert len(train(iter([Batch(1.0)] * 3), steps=9)[1]) == 3


def test_minutes_fix_the_number_of_steps_once(clock):
    _, seen = train(iter(lambda: Batch(1.0), None), minutes=1, loss=clock.ticking(squares, 0.5))
    assert {p.steps for p in seen} == {None, 120}
    assert seen[-1].step == 120


def test_before_the_number_of_steps_is_known_the_schedule_is_at_its_beginning(clock):
    schedule = lambda steps: cosine(1.0, steps, warmup=min(4, steps))
    ticking = clock.ticking(squares, 0.5)
    _, seen = train(iter(lambda: Batch(1.0), None), minutes=1, schedule=schedule, loss=ticking)
    assert seen[0].steps is None
    assert [p.lr for p in seen[:5]] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert seen[-1].lr < 0.1


def test_accumulated_batches_give_their_mean_gradient():
    batches = [Batch(float(target)) for target in (1, 2, 3, 4, 5)]
    model, seen = train(batches, accumulate=2)
    x = 0.0
    for targets in ((1, 2), (3, 4), (5,)):
        x -= 0.25 * np.mean([2 * (x - target) for target in targets])
    assert np.allclose(model.x, x)
    assert [p.steps for p in seen] == [3] * 3
    assert seen[0].loss == 2.5


@pytest.mark.parametrize(
    ("options", "moved"),
    [({"clip_norm": 0.5}, 0.5), ({"clip_value": 0.25}, 0.25), ({"clip_value": 3.0, "clip_norm": 2.0}, 2.0)],
)
def test_clipping_bounds_the_update_and_the_norm_before_it_is_told(options, moved):
    model, seen = train([Batch(100.0)], lr=1.0, **options)
    assert np.allclose(model.x, moved)
    assert seen[0].grad_norm == 200


def test_noise_comes_from_the_rng(rng):
    model = minirnn.Sequential(minirnn.Linear(2, 2, rng=rng), minirnn.Dropout(0.5))
    losses = []
    for seed in (0, 0, 1):
        last = fit(
            model,
            lambda model, batch, state, rng: (anp.sum(model(np.ones((4, 2), np.float32), rng=rng) ** 2), None),
            [Batch(0)] * 2,
            SGD(model, lr=0.0),
            rng=np.random.default_rng(seed),
        )
        losses.append(last.loss)
    assert losses[0] == losses[1] != losses[2]


# ---------------------------------------------------------------- what is not finite
class Layered(minirnn.Module):
    def __init__(self):
        self.inner = minirnn.Function(lambda x: anp.sqrt(x))
        self.outer = minirnn.Function(lambda x: x * 2)
        self.w = Parameter([1.0])


def layered_loss(model, batch, state, rng):
    return anp.sum(model.outer(model.inner(model.w * batch.target))), None


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ([1.0, -1.0], r"at step 2, the loss is nan; the first value not finite is the output of inner \(Function\)"),
        ([1.0, 0.0], r"at step 2, .* the gradient of w \(1 of 1 entries, first (inf|nan) at \[0\]\)"),
        ([np.array(np.inf, np.float32)], "at step 1, .* the batch's target"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_value_that_is_not_finite_is_named_before_any_update(targets, says):
    model, before = Layered(), {}
    optimizer = SGD(model, lr=0.1)
    remember = lambda progress: before.update(x=model.w.copy())
    with pytest.raises(DivergedError, match=says):
        fit(model, layered_loss, [Batch(target) for target in targets], optimizer, callbacks=[remember])
    assert model.w == before.get("x", 1.0)
    assert optimizer.steps == len(targets) - 1
    assert "__call__" not in vars(Layered)


def test_a_parameter_that_is_not_finite_is_named():
    with pytest.raises(DivergedError, match=r"the parameter x \(1 of 1 entries"):
        train([Batch(1.0)], start=np.nan)


def test_skipping_passes_over_the_update_and_counts():
    batches = [Batch(1.0), Batch(np.nan), Batch(1.0)]
    model, seen = train(batches, on_nonfinite="skip")
    assert np.allclose(model.x, 0.75)
    assert [p.skipped for p in seen] == [0, 1, 1]
    assert np.isnan(seen[1].loss)


def test_the_schedule_goes_on_while_steps_are_skipped():
    batches = [Batch(1.0), Batch(np.nan), Batch(np.nan), Batch(1.0)]
    _, seen = train(batches, on_nonfinite="skip", schedule=lambda steps: linear(0.4, steps))
    assert np.allclose([p.lr for p in seen], [0.4, 0.3, 0.2, 0.1])
    assert seen[-1].skipped == 2


def test_a_skipped_step_begins_anew_without_a_state():
    seen = []

    def loss(model, batch, state, rng):
        seen.append(state)
        return squares(model, batch, state, rng)

    train([Batch(1.0), Batch(2.0), Batch(np.nan), Batch(1.0), Batch(2.0)], loss=loss, on_nonfinite="skip")
    states = [state for k, state in enumerate(seen) if state is None or state != seen[k - 1] or k == 0]
    assert seen[-2:] == [None, 1]
    assert states[:2] == [None, 1]


def test_skips_that_are_not_in_a_row_are_no_error():
    _, seen = train([Batch(np.nan), Batch(1.0)] * 60, on_nonfinite="skip")
    assert seen[-1].skipped == 60


def test_of_validations_alike_the_first_is_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=9)
    train([Batch(1.0)] * 3, validate=lambda model: 1.0, val_every=1, checkpoints=checkpoints)
    assert checkpoints.best_one().step == 1


def test_endless_skipping_is_an_error():
    with pytest.raises(DivergedError, match="at step 51"):
        train([Batch(np.nan)] * 99, on_nonfinite="skip")


def test_the_last_good_checkpoint_is_kept_and_named(tmp_path):
    with pytest.raises(DivergedError, match=r"The newest checkpoint is .*step-000000002\.safetensors"):
        train([Batch(1.0)] * 3 + [Batch(np.nan)], checkpoints=Checkpoints(tmp_path, every=2))
    assert Checkpoints(tmp_path).latest().step == 2


# ---------------------------------------------------------------- validation and what follows from it
def test_validation_comes_at_its_steps_and_after_the_last():
    _, seen = train([Batch(1.0)] * 7, validate=lambda model: {"distance": 1 - model.x[0], "two": 2}, val_every=3)
    assert [p.step for p in seen if p.validation] == [3, 6, 7]
    assert seen[2].validation == {"distance": 0.125, "two": 2}


def test_without_val_every_there_are_ten_validations():
    _, seen = train([Batch(1.0)] * 40, validate=lambda model: 1.0)
    assert [p.step for p in seen if p.validation] == list(range(4, 41, 4))
    assert seen[3].validation == {"val_loss": 1.0}


def test_early_stopping_waits_for_its_patience():
    metrics = iter([3, 2, 2, 2.5, 1, 1, 1, 0])
    _, seen = train([Batch(1.0)] * 9, validate=lambda model: next(metrics), val_every=1, callbacks=[EarlyStopping(2)])
    assert len(seen) == 4


def test_a_plateau_lowers_the_learning_rate():
    _, seen = train(
        [Batch(1.0)] * 4,
        validate=lambda model: 1.0,
        val_every=1,
        schedule=lambda steps: ReduceOnPlateau(0.5, factor=0.5, patience=0),
    )
    assert [p.lr for p in seen] == [0.5, 0.5, 0.25, 0.125]


def test_the_moving_average_is_what_is_validated():
    average = EMA(0.5)
    model, seen = train([Batch(1.0)] * 3, average=average, validate=lambda model: model.x[0], val_every=1)
    weights, expected = [0.5, 0.75, 0.875], 0.5
    for t, w in enumerate(weights[1:], 1):
        d = min(0.5, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * w
    assert np.isclose(seen[-1].validation["val_loss"], expected)
    assert model.x == 0.875
    average.copy_to(model)
    assert np.isclose(model.x, expected)


def test_ntasgd_averages_from_the_first_validation_worse_than_the_best_but_the_last_few():
    metrics = iter([5, 3, 4, 3.5, 3.6, 3, 3, 3])
    average = NTASGD(nonmono=2)
    train([Batch(1.0)] * 8, average=average, validate=lambda model: next(metrics), val_every=1)
    assert average.count == 3  # triggered by 3.6 > 3 at the fifth
    assert np.isclose(average.weights["x"], np.mean([1 - 0.5**k for k in (6, 7, 8)]))


def test_the_best_checkpoint_is_kept_beside_the_newest(tmp_path):
    metrics = iter([3, 1, 2, 4])
    checkpoints = Checkpoints(tmp_path, every=1, keep=1)
    train([Batch(1.0)] * 4, validate=lambda model: next(metrics), val_every=1, checkpoints=checkpoints)
    assert [path.name for path in checkpoints.paths()] == ["step-000000004.safetensors", "best-000000002.safetensors"]
    assert checkpoints.best_one().state["best"] == {"metric": 1, "step": 2}


@pytest.mark.parametrize(
    ("options", "values", "steps", "kept"),
    [
        ({"restore_best": True}, [3, 1, 2, 2, 0], 4, 2),
        ({"restore_best": True}, [np.nan, 2, np.nan, np.nan, 0], 4, 2),
        ({"restore_best": True, "mode": "max"}, [1, 3, 2, np.inf, 9], 4, 2),
        ({"restore_best": True, "mode": "max", "min_delta": 0.5}, [1, 1.4, 1.5, 2, 9], 3, 1),
        ({"restore_best": True}, [3, 2, 1, 4, 0.5], 5, 5),
        ({"mode": "max"}, [1, 3, 2, 2, 9], 4, 4),
        ({"metric": "second", "mode": "max", "restore_best": True}, [4, 3, 2, 1, 0], 3, 1),
    ],
)
def test_early_stopping_watches_its_metric_and_restores_the_best_weights(options, values, steps, kept):
    metrics = iter(values)
    validate = lambda model: (lambda value: {"first": value, "second": value})(next(metrics))
    stopping = EarlyStopping(2, **options)
    model, seen = train([Batch(1.0)] * 5, validate=validate, val_every=1, callbacks=[stopping])
    assert (len(seen), float(model.x[0])) == (steps, 1 - 0.5**kept)


def test_the_best_weights_of_an_average_are_those_that_were_validated():
    metrics = iter([1, 0, 2, 2])
    average = EMA(0.5)
    weights = []
    remember = lambda progress: weights.append(float(average.weights["x"][0]))
    model, _ = train(
        [Batch(1.0)] * 4,
        average=average,
        validate=lambda model: next(metrics),
        val_every=1,
        callbacks=[EarlyStopping(2, restore_best=True), remember],
    )
    assert float(model.x[0]) == weights[1] != weights[-1]


@pytest.mark.parametrize(
    "schedule",
    [
        lambda step: 0.4 / (1 + step),
        lambda step: [0.4, 0.2, 0.4 / 3, 0.1][step],
        lambda step: {0: 0.4, 1: 0.2, 2: 0.4 / 3, 3: 0.1}[step],
        lambda step: 0.4 / (4 - step) * (4 - step) / (1 + step),
        lambda steps: lambda step: 0.4 / (1 + step),
        lambda steps: lambda step: steps * 0.1 / (1 + step),
    ],
)
def test_a_schedule_is_a_function_of_the_step_or_of_their_number(schedule):
    assert np.allclose([p.lr for p in train([Batch(1.0)] * 4, schedule=schedule)[1]], [0.4, 0.2, 0.4 / 3, 0.1])


def test_a_function_of_the_step_needs_no_number_of_steps():
    batches = iter([Batch(1.0)] * 3)
    assert [p.lr for p in train(batches, schedule=lambda step: 0.1 * (1 + step))[1]] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("how", ["schedule", "function", "optimizer"])
def test_a_plateau_is_told_of_validations_wherever_it_was_given(how):
    plateau = ReduceOnPlateau(0.5, factor=0.5, patience=0)
    model, rates = Point(), []
    optimizer = SGD(model, lr=plateau if how == "optimizer" else 9.0)
    given = {"schedule": plateau, "function": lambda steps: plateau, "optimizer": None}[how]
    options = {"validate": lambda model: 1.0, "val_every": 1, "schedule": given}
    fit(model, squares, [Batch(1.0)] * 4, optimizer, callbacks=[lambda p: rates.append(p.lr)], **options)
    assert rates == [0.5, 0.5, 0.25, 0.125]


def test_a_plateau_takes_a_metric_that_is_not_finite_for_no_improvement():
    plateau = ReduceOnPlateau(1.0, factor=0.5, patience=1)
    for metric in (3.0, np.nan, np.inf, -np.inf):
        plateau.observe(metric)
    assert (plateau.lr, plateau.best) == (0.5, 3.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_ntasgd_takes_nan_as_it_takes_infinity(bad):
    average = NTASGD(nonmono=1)
    for metric in (3.0, 2.0, bad):
        average.observe(metric)
    assert average.triggered


# ---------------------------------------------------------------- callbacks
def test_every_callback_hears_of_every_event_also_when_one_stops_it_or_an_error_comes():
    class Told(Callback):
        def __init__(self):
            self.events = []

        def on_start(self, training):
            assert isinstance(training, Training)
            self.events.append("start")

        def on_step(self, training, progress):
            self.events.append(progress.step)

        def on_end(self, training, error):
            self.events.append(type(error).__name__)

    class Stopping(Callback):
        def on_step(self, training, progress):
            training.stop("enough")

    first, last = Told(), Told()
    train([Batch(1.0)] * 3, callbacks=[first, Stopping(), last])
    assert first.events == last.events == ["start", 1, "NoneType"]
    first.events.clear()
    with pytest.raises(DivergedError):
        train([Batch(np.nan)], callbacks=[first])
    assert first.events == ["start", "DivergedError"]


# ---------------------------------------------------------------- options
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 2, "minutes": 1.0}, "steps=2 and minutes=1.0 came; give one of them"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 2.5}, "steps=2.5"),
        ({"minutes": float("nan")}, "minutes=nan"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"clip_norm": -1.0}, "clip_norm=-1.0"),
        ({"on_nonfinite": "hope"}, "on_nonfinite='hope'"),
        ({"resume": True}, "without checkpoints"),
        ({"extra": {"note": 1}}, "extra came without checkpoints"),
        ({"val_every": 2}, "val_every=2 came without validate"),
        ({"average": NTASGD()}, "NTASGD came without validate"),
        ({"callbacks": [EarlyStopping(2)]}, "EarlyStopping came without validate"),
        ({"schedule": ReduceOnPlateau(0.1)}, "ReduceOnPlateau came without validate"),
        ({"schedule": lambda steps: ReduceOnPlateau(0.1), "steps": 3}, "ReduceOnPlateau came without validate"),
        ({"validate": lambda model: 1.0}, "whose number is not known; give val_every"),
        ({"schedule": lambda steps: lambda step: 0.1}, "a schedule needs"),
        ({}, "no batches"),
    ],
)
def test_bad_options_are_errors(options, says):
    model = Point()
    with pytest.raises(ValueError, match=says):
        fit(model, squares, iter([]), SGD(model, lr=0.1), **options)


@pytest.mark.parametrize("schedule", [0.1, "cosine", lambda steps: None, lambda steps: "0.1", lambda steps: True])
def test_what_is_no_schedule_is_an_error_of_its_type(schedule):
    with pytest.raises(TypeError, match=r"fit: schedule"):
        train([Batch(1.0)], schedule=schedule)


def test_an_error_in_a_schedules_maker_is_not_swallowed():
    with pytest.raises(ValueError, match="warmup=9 came"):
        train([Batch(1.0)], schedule=lambda steps: cosine(0.1, steps, warmup=9))


@pytest.mark.parametrize("make", [lambda model: SGD(Point(), lr=0.1), lambda model: SGD({"y": np.zeros(1)}, lr=0.1)])
def test_the_optimizer_of_another_model_is_refused(make):
    """It would train what nobody sees, and this model not at all."""
    model = Point()
    with pytest.raises(ValueError, match=r"the optimizer updates [xy], which is no array of this model"):
        fit(model, squares, [Batch(1.0)], make(model))
    fit(model, squares, [Batch(1.0)], SGD(model.parameters(), lr=0.25))
    assert model.x == 0.5


def test_a_plateau_for_a_group_is_refused():
    model = Point()
    optimizer = SGD(model, lr=0.1, groups={"x": {"lr": ReduceOnPlateau(0.1)}})
    with pytest.raises(ValueError, match="came for a group"):
        fit(model, squares, [Batch(1.0)], optimizer, validate=lambda model: 1.0)


def test_a_metric_that_validation_does_not_give_is_an_error():
    with pytest.raises(ValueError, match="metric='accuracy' came, one of what validate gives was expected: val_loss"):
        train([Batch(1.0)], validate=lambda model: 1.0, callbacks=[EarlyStopping(metric="accuracy")])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EMA(1.0), "decay=1.0"),
        (lambda: NTASGD(0), "nonmono=0"),
        (lambda: EarlyStopping(0), "patience=0"),
        (lambda: EarlyStopping(min_delta=-1.0), "min_delta=-1.0"),
        (lambda: EarlyStopping(min_delta=float("nan")), "min_delta=nan"),
        (lambda: EarlyStopping(mode="highest"), "mode='highest'"),
        (lambda: EarlyStopping(restore_best=1), "restore_best=1"),
        (lambda: Checkpoints("x", every=0), "every=0"),
        (lambda: Checkpoints("x", keep=0), "keep=0"),
    ],
)
def test_parts_refuse_options_out_of_range(make, says):
    with pytest.raises(ValueError, match=says):
        make()
