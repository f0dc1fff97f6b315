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
        ({"lr": {"low": 1.0, "high": float("inf")}}, "finite numbers"),
    ],
)
def test_what_is_no_space_is_named(space, says):
    with pytest.raises(ValueError, match=says):
        make_space(space)
