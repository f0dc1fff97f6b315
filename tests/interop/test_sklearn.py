"""The estimators: scikit-learn's own checks, its tools around them, and what each learns."""

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'minirnn[sklearn]'")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from minirnn import cells
from minirnn.interop.sklearn import (
    SequenceClassifier,
    SequenceForecaster,
    SequenceRegressor,
    SequenceTagger,
)

EVERY = [SequenceClassifier, SequenceRegressor, SequenceTagger, SequenceForecaster]
SMALL = {"hidden_size": 8, "random_state": 0}


def ragged(rng, count=60, features=2):
    """Sequences of 2 to 8 steps; whether the first feature's sum is positive, and the sum."""
    each = [rng.standard_normal((n, features)) for n in rng.integers(2, 9, count)]
    sums = np.array([one[:, 0].sum() for one in each])
    return each, np.where(sums > 0, "up", "down"), sums


# ---------------------------------------------------------------- scikit-learn's checks
def checked(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = [f"{one['check_name']}: {one['exception']}" for one in found if one["status"] not in ("passed", "skipped")]
    assert not failed, "\n".join(failed)
    return sum(one["status"] == "passed" for one in found)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cell"), list(zip(EVERY, ["lstm", "gru", "gru", "lstm"], strict=True)))
def test_scikit_learns_checks_pass_as_the_estimators_come(kind, cell):
    assert checked(kind(cell=cell)) > 40


# ---------------------------------------------------------------- what they learn
@pytest.mark.parametrize("cell", ["gru", "MGU", cells.MinGRU], ids=str)
def test_a_classifier_learns_from_ragged_sequences(cell, rng):
    X, y, _ = ragged(rng)
    model = SequenceClassifier(cell=cell, pool="mean", **SMALL).fit(X, y)
    assert model.score(X, y) > 0.9
    assert list(model.classes_) == ["down", "up"]
    np.testing.assert_allclose(model.predict_proba(X[:3]).sum(axis=1), 1)


def test_padding_changes_nothing(rng):
    X, y, _ = ragged(rng, 10)
    model = SequenceClassifier(bidirectional=True, max_iter=3, **SMALL).fit(X, y)
    alone = np.concatenate([model.predict_proba([one]) for one in X])
    np.testing.assert_allclose(model.predict_proba(X), alone, atol=1e-12)


def test_a_regressor_learns_several_numbers_in_their_units(rng):
    X, _, sums = ragged(rng, 80)
    y = np.stack([1000 + 100 * sums, -sums], axis=1)
    model = SequenceRegressor(cell="gru", max_iter=200, batch_size=20, **SMALL).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.predict(X).shape == (80, 2)


def test_a_tagger_of_rows_takes_a_label_for_each(rng):
    X, y = rng.standard_normal((6, 2)), np.array(["a", "b"] * 3)
    model = SequenceTagger(max_iter=1, **SMALL).fit(X, y)
    assert model.predict(X).shape == (6,)
    with pytest.warns(UserWarning, match="column-vector"):
        SequenceTagger(max_iter=1, **SMALL).fit(X, y[:, None])
    with pytest.raises(ValueError, match="y"):
        SequenceTagger(max_iter=1, **SMALL).fit(X, np.stack([y, y], axis=1))


def test_a_tagger_says_a_class_at_each_step(rng):
    X = rng.standard_normal((40, 6, 1))
    y = (np.cumsum(X[..., 0], axis=1) > 0).astype(int)  # which takes memory
    model = SequenceTagger(cell="gru", max_iter=150, **SMALL).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.predict(X).shape == (40, 6)
    assert [len(one) for one in model.predict([X[0], X[1, :3]])] == [6, 3]
    with pytest.raises(ValueError, match=r"y\[1\] has shape \(2,\), \(3,\) was expected"):
        model.fit([X[0], X[1, :3]], [y[0], y[1, :2]])


def waves(rng, count=20, steps=40):
    start = rng.uniform(0, 7, (count, 1))
    return 5 + np.sin(start + 0.4 * np.arange(steps))[..., None]


def test_a_forecaster_goes_on_with_a_series(rng):
    X = waves(rng)
    model = SequenceForecaster(cell="gru", horizon=3, **SMALL).fit(X[:, :-3])
    assert model.predict(X[:, :-3]).shape == (20, 3, 1)
    assert model.score(X) > 0.95
    with pytest.raises(ValueError, match="a series of 3 steps came; without y, more than horizon=3"):
        model.fit(X[:, :3])


def test_a_forecaster_takes_what_follows_as_well(rng):
    X = waves(rng, 40, 12)
    model = SequenceForecaster(cell="gru", **SMALL).fit(X[:, :-1], X[:, -1, 0])
    assert model.score(X[:, :-1], X[:, -1, 0]) > 0.8


# ---------------------------------------------------------------- weights, early stopping, going on
def test_a_weight_is_as_many_copies(rng):
    X, y, _ = ragged(rng, 12)
    weights = rng.integers(0, 3, 12)
    copies = [one for one, n in zip(X, weights, strict=True) for _ in range(n)]
    weighted = SequenceClassifier(max_iter=10, **SMALL).fit(X, y, sample_weight=weights)
    repeated = SequenceClassifier(max_iter=10, **SMALL).fit(copies, np.repeat(y, weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-8)


def test_the_weight_of_a_class_decides_what_is_in_doubt(rng):
    X, y = rng.standard_normal((60, 3, 2)), rng.integers(0, 2, 60)
    shares = [
        SequenceClassifier(class_weight=weight, max_iter=30, **SMALL).fit(X, y).predict(X).mean()
        for weight in ({0: 50.0, 1: 1.0}, {0: 1.0, 1: 50.0})
    ]
    assert shares[0] < 0.2
    assert shares[1] > 0.8
    assert SequenceClassifier(class_weight="balanced", max_iter=2, **SMALL).fit(X, y).score(X, y) > 0


def test_early_stopping_keeps_the_best_weights(rng):
    X, y = rng.standard_normal((60, 4, 2)), rng.integers(0, 2, 60)  # nothing can be learned
    model = SequenceClassifier(early_stopping=True, n_iter_no_change=5, max_iter=300, **SMALL).fit(X, y)
    assert model.n_iter_ < 300
    assert len(model.validation_curve_) == model.n_iter_ == len(model.loss_curve_)
    assert np.argmin(model.validation_curve_) <= model.n_iter_ - 5


def test_partial_fit_goes_on_and_pickling_in_between_changes_nothing(rng):
    X, y, _ = ragged(rng, 20)
    model = SequenceClassifier(dropout=0.2, **SMALL)
    for _ in range(3):
        model.partial_fit(X, y, classes=["down", "up"])
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    assert model.n_iter_ == 4
    assert b"minirnn.layers" not in pickle.dumps(model)  # the weights are a safetensors file, the rest plain data


def test_random_state_decides_everything(rng):
    X, y, _ = ragged(rng, 20)
    one, two, three = (
        SequenceClassifier(dropout=0.3, batch_size=8, max_iter=3, random_state=seed).fit(X, y).predict_proba(X)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, three)


def test_float32_sequences_are_computed_in_float32(rng):
    X = rng.standard_normal((10, 3, 2), dtype=np.float32)
    model = SequenceRegressor(max_iter=2, **SMALL).fit(X, X[:, 0, 0])
    assert {value.dtype for value in model.module_.parameters().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_iter": 0}, "max_iter=0 came"),
        ({"batch_size": -1}, "batch_size=-1 came"),
        ({"cell": "lstn"}, "no cell is called 'lstn'"),
        ({"pool": "first"}, "Pool: 'first' came"),
    ],
)
def test_a_wrong_hyper_parameter_is_told_by_fit(options, says, rng):
    with pytest.raises(ValueError, match=says):
        SequenceClassifier(**options).fit(rng.standard_normal((4, 3, 2)), [0, 1, 0, 1])


def test_sequences_that_do_not_fit_are_told(rng):
    model = SequenceClassifier(max_iter=1, **SMALL).fit(rng.standard_normal((4, 3, 2)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="X has 5 features, but SequenceClassifier is expecting 2"):
        model.predict([np.zeros((3, 5))])
    with pytest.raises(ValueError, match="sequences of 2, 3 features came"):
        model.fit([np.zeros((3, 2)), np.zeros((3, 3))], [0, 1])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((1, 3, 2), np.nan))


# ---------------------------------------------------------------- scikit-learn's tools
def test_they_work_in_pipelines_and_cross_validation(rng):
    X = rng.standard_normal((40, 2))
    y = (X[:, 0] > 0).astype(int)
    steps = make_pipeline(StandardScaler(), SequenceClassifier(cell="rnn", max_iter=60, **SMALL))
    assert cross_val_score(steps, X, y, cv=3).mean() > 0.8
    to_rows = FunctionTransformer(lambda X: X.reshape(len(X), 2, 1))
    assert make_pipeline(to_rows, clone(steps[-1])).fit(X, y).score(X, y) > 0.8


@pytest.mark.slow
def test_a_grid_is_searched_by_two_processes(rng):
    X, y, _ = ragged(rng, 40)
    grid = {"cell": ["gru", "MGU"], "hidden_size": [2, 8]}
    search = GridSearchCV(SequenceClassifier(pool="mean", max_iter=40, random_state=0), grid, cv=2, n_jobs=2)
    assert search.fit(X, y).best_score_ > 0.7
    assert len(search.cv_results_["params"]) == 4


# ---------------------------------------------------------------- what sequences may come as
@pytest.mark.parametrize(
    "nested",
    [
        lambda each: [one.tolist() for one in each],
        lambda each: tuple(tuple(map(tuple, one.tolist())) for one in each),
        lambda each: [list(one) for one in each],
        lambda each: np.array([*each, None], object)[:-1],
    ],
)
@pytest.mark.parametrize("equal", [True, False])
def test_nested_lists_are_the_arrays_that_they_hold(nested, equal, rng):
    each, labels, _ = ragged(rng, 12)
    each = [one[:2] for one in each] if equal else each
    model = SequenceClassifier(max_iter=2, **SMALL).fit(each, labels)
    assert np.array_equal(model.predict_proba(nested(each)), model.predict_proba(each))
    again = SequenceClassifier(max_iter=2, **SMALL).fit(nested(each), labels)
    assert np.array_equal(again.predict_proba(each), model.predict_proba(each))


@pytest.mark.parametrize(
    "series",
    [
        [np.arange(3.0), np.arange(4.0)],
        [[1.0, 2.0], [1.0, 2.0, 3.0]],
        np.array([np.arange(3.0), np.arange(4.0)], object),
        [np.ones((3, 1)), np.ones(3)],
    ],
)
@pytest.mark.parametrize("kind", EVERY)
def test_series_without_an_axis_of_features_are_told_how_to_get_one(kind, series):
    with pytest.raises(ValueError, match=r"one\[:, None\] makes a series of one feature"):
        kind(**SMALL).fit(series, [0, 1])


def test_steps_of_different_length_are_told():
    with pytest.raises(ValueError, match="steps differ in length"):
        SequenceClassifier(**SMALL).fit([[[1.0], [1.0, 2.0]], [[1.0], [2.0]]], [0, 1])


@pytest.mark.parametrize("kind", EVERY)
def test_one_array_is_not_as_many_sequences_as_it_has_steps(kind, rng):
    each, labels, sums = ragged(rng, 12)
    y = {SequenceTagger: [np.arange(len(one)) % 2 for one in each], SequenceClassifier: labels}.get(kind, sums)
    model = kind(max_iter=2, **SMALL).fit(each, y)
    with pytest.raises(ValueError, match=r"one array \(\d, 2\).*\[X\] is one sequence, X\[:, None\] many"):
        model.predict(each[0])
    assert len(model.predict([each[0]])) == 1
    assert len(model.predict(each[0][:, None])) == len(each[0])
    pickled = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match="would be"):
        pickled.predict(each[0])


def test_training_waits_for_an_improvement_by_tol(rng):
    each, labels, _ = ragged(rng, 12)
    fitted = lambda tol: SequenceClassifier(max_iter=30, tol=tol, n_iter_no_change=3, **SMALL).fit(each, labels)
    assert fitted(10.0).n_iter_ == 4  # the first epoch is an improvement over nothing
    assert fitted(0.0).n_iter_ > 4


@pytest.mark.parametrize(
    ("y", "says"), [(None, "y to be passed, but the target y is None"), ([1.0], "inconsistent numbers")]
)
def test_a_regressor_refuses_numbers_that_are_missing_or_too_few(y, says, rng):
    with pytest.raises(ValueError, match=says):
        SequenceRegressor(**SMALL).fit(ragged(rng, 5)[0], y)
