"""What options may be."""

import pytest

from minirnn.sweep import Choices, Range, make_space


def test_lists_are_choices_and_tables_are_ranges():
    space = make_space(
        {"cell": ["lstm", "gru"], "lr": {"low": 1e-4, "high": 0.1, "log": True}, "n": {"low": 1, "high": 9}}
    )
    assert space == {"cell": Choices(("lstm", "gru")), "lr": Range(1e-4, 0.1, True), "n": Range(1, 9)}


def test_optuna_is_asked_for_integers_where_both_ends_are():
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
    trial = optuna.trial.FixedTrial({"n": 3, "x": 0.5, "c": "a"})
    values = [
        Range(1, 9, step=2).suggest(trial, "n"),
        Range(0, 1.0).suggest(trial, "x"),
        Choices(("a", "b")).suggest(trial, "c"),
    ]
    assert values == [3, 0.5, "a"]
    assert isinstance(values[0], int)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ({"low": 0, "high": 0.3, "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
        ({"low": 0.0, "high": 0.3, "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
        ({"low": 0.0, "high": 1, "step": 1}, [0.0, 1.0]),
        ({"low": 0.1, "high": 1, "step": 0.4}, [0.1, 0.5, 0.9]),
        ({"low": -1, "high": 0.5, "step": 0.5}, [-1.0, -0.5, 0.0, 0.5]),
        ({"low": 1, "high": 10, "step": 4}, [1, 5, 9]),
        ({"low": 1, "high": 3}, [1, 2, 3]),
    ],
)
def test_steps_are_taken_from_the_low_end_to_the_last_that_is_reached(table, values):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
    one = make_space({"n": table})["n"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = sorted({one.suggest(study.ask(), "n") for _ in range(80)})
    assert found == pytest.approx(values)
    assert {type(value) for value in found} == {type(values[0])}
    assert one.corners() == pytest.approx((values[0], values[-1]))


@pytest.mark.parametrize(
    "values",
    [
        [True, 1],
        [1, 1.0],
        [0, False, None],
        [1, "1", True, 1.0],
        [None, "None", 0.5],
        ["a", "b"],
        [1, 2],
        [0.0, -0.0, 1],
    ],
)
def test_choices_that_compare_equal_are_told_apart(values):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install 'minirnn[sweep]'")
    one = make_space({"c": values})["c"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [study.ask() for _ in range(60)]
    found = [one.suggest(trial, "c") for trial in asked]
    assert set(map(repr, found)) == set(map(repr, values))
    assert [repr(one.meant(trial.params["c"])) for trial in asked] == list(map(repr, found))
    assert [repr(one.suggest(trial, "c")) for trial in asked] == list(map(repr, found))  # kept once chosen


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "the space is empty"),
        ({"lr": 0.1}, "lr: 0.1 came, a list of choices or a table"),
        ({"lr": []}, "a list of numbers, strings or booleans"),
        ({"lr": [[1]]}, "a list of numbers, strings or booleans"),
        ({"lr": {"low": 1}}, "low and high, and log or step"),
        ({"lr": {"low": 1, "high": 2, "hgih": 3}}, "low and high, and log or step"),
        ({"lr": {"low": 2, "high": 1}}, "a low below the high"),
        ({"lr": {"low": 0, "high": 1, "log": True}}, "starts above 0"),
        ({"lr": {"low": 1, "high": 4, "step": 0.5}}, "a positive one was expected, an integer for integers"),
        ({"lr": {"low": "a", "high": 4}}, "finite numbers"),
        ({"lr": {"low": 0, "high": 0.3, "step": 0.0}}, "a positive one was expected"),
        ({"lr": {"low": 0, "high": 0.3, "step": 0.4}}, "at most high - low"),
        ({"lr": {"low": 1, "high": 4, "step": 4}}, "at most high - low"),
        ({"lr": [1, 2, 1]}, "each choice is to be there once"),
        ({"lr": [None, None]}, "each choice is to be there once"),
        ({"lr": {"low": 1.0, "high": float("inf")}}, "finite numbers"),
    ],
)
def test_what_is_no_space_is_named(space, says):
    with pytest.raises(ValueError, match=says):
        make_space(space)
