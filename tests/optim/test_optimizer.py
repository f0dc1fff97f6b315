"""What all optimisers share: names, groups, checks before any update, frozen parameters, and the state."""

import tracemalloc

import numpy as np
import pytest

from minirnn import LSTM, optim

RULES = {
    "SGD": lambda p, **kw: optim.SGD(p, momentum=0.9, nesterov=True, weight_decay=0.1, **kw),
    "Adagrad": optim.Adagrad,
    "RMSprop": lambda p, **kw: optim.RMSprop(p, centered=True, momentum=0.5, **kw),
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
}
each_rule = pytest.mark.parametrize("make", RULES.values(), ids=RULES)


def draw(rng, parameters):
    return {name: rng.standard_normal(p.shape).astype(p.dtype) for name, p in parameters.items()}


def copies(parameters):
    return {name: p.copy() for name, p in parameters.items()}


def equal(first, second):
    return set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)


@each_rule
def test_a_model_is_updated_in_place_and_the_gradients_stay(make, rng):
    model = LSTM(3, 4, rng=rng)
    live, before = model.parameters(), copies(model.parameters())
    grads = draw(rng, live)
    kept = copies(grads)
    make(model).step(grads)
    assert all(live[name] is p and not np.array_equal(p, before[name]) for name, p in model.parameters().items())
    assert equal(grads, kept)


@each_rule
def test_no_array_is_allocated_after_the_first_step(make, rng):
    parameters = {"w": rng.standard_normal((400, 500))}
    optimizer, grads = make(parameters), draw(rng, parameters)
    optimizer.step(grads)
    tracemalloc.start()
    for _ in range(3):
        optimizer.step(grads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < parameters["w"].nbytes / 50


WRONG = {
    "missing": lambda g: g.pop("b"),
    "unexpected": lambda g: g.update(c=np.zeros(2)),
    r"float64 \(3,\) came, float64 \(2,\)": lambda g: g.update(b=np.zeros(3)),
    r"float32 \(2,\) came": lambda g: g.update(b=np.zeros(2, np.float32)),
    "list came": lambda g: g.update(b=[0.0, 0.0]),
    "1 of 2 entries": lambda g: g.update(b=np.array([np.nan, 0])),
    "2 of 2 entries": lambda g: g.update(b=np.array([np.inf, -np.inf])),
}


@pytest.mark.parametrize("says", WRONG)
@each_rule
def test_wrong_gradients_are_named_and_change_nothing(make, says, rng):
    parameters = {"a": np.ones((2, 2)), "b": np.ones(2)}
    optimizer = make(parameters)
    optimizer.step(draw(rng, parameters))
    before, state = copies(parameters), optimizer.state_dict()
    grads = draw(rng, parameters)
    WRONG[says](grads)
    with pytest.raises(ValueError, match=says) as error:
        optimizer.step(grads)
    assert ("c: " in str(error.value)) == (says == "unexpected")
    assert ("b: " in str(error.value)) == (says != "unexpected")
    assert equal(parameters, before)
    assert equal(optimizer.state_dict(), state)


def test_all_problems_are_in_one_error():
    optimizer = optim.SGD({"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)})
    with pytest.raises(ValueError, match=r"a: missing\n.*d: unexpected\n.*b: .*\n.*c: not finite"):
        optimizer.step({"b": np.ones(3), "c": np.full(2, np.inf), "d": np.ones(2)})


def test_huge_finite_gradients_are_taken():
    parameters = {"a": np.zeros(3, np.float32)}
    optim.SGD(parameters, lr=1e-38).step({"a": np.full(3, 3e38, np.float32)})
    assert np.allclose(parameters["a"], -3)


def test_groups_change_options_of_the_names_that_match_first():
    parameters = {name: np.zeros(1) for name in ("embedding.w", "embedding.b", "head.b")}
    groups = {"embedding.*": {"lr": 2.0}, "*.b": {"lr": 3.0, "weight_decay": 0.0}}
    optimizer = optim.SGD(parameters, lr=1.0, groups=groups)
    optimizer.step({name: np.ones(1) for name in parameters})
    assert {name: p[0] for name, p in parameters.items()} == {"embedding.w": -2, "embedding.b": -2, "head.b": -3}


def test_frozen_parameters_are_passed_over_and_keep_their_slots(rng):
    model = LSTM(3, 4, rng=rng)
    optimizer, grads = optim.Adam(model), draw(rng, model.parameters())
    optimizer.step(grads)
    state, before = optimizer.state_dict(), copies(model.parameters())
    model.freeze("*weight_hh")
    name = next(name for name in grads if name.endswith("weight_hh"))
    optimizer.step(draw(rng, model.parameters()))
    optimizer.step(grads)  # a gradient for a frozen name is passed over too
    assert np.array_equal(model.parameters(frozen=True)[name], before[name])
    assert np.array_equal(optimizer.state_dict()[f"exp_avg.{name}"], state[f"exp_avg.{name}"])
    model.unfreeze()
    optimizer.step(grads)
    counts = {key: int(v) for key, v in optimizer.state_dict().items() if key.startswith("count.")}
    assert counts.pop(f"count.{name}") == 2
    assert set(counts.values()) == {4}


def test_the_learning_rate_can_be_a_schedule_or_set_by_hand():
    parameters, grads = {"a": np.zeros(1), "b": np.zeros(1)}, {"a": np.ones(1), "b": np.ones(1)}
    optimizer = optim.SGD(parameters, lr=lambda step: 1.0 / (step + 1), groups={"b": {"lr": 10.0}})
    assert optimizer.lr == 1.0
    optimizer.step(grads)
    assert optimizer.lr == 0.5
    optimizer.step(grads)
    optimizer.lr = 2.0
    optimizer.step(grads)
    assert (parameters["a"][0], parameters["b"][0]) == (-3.5, -30)


def test_a_schedule_that_gives_no_number_changes_nothing():
    parameters = {"a": np.zeros(1)}
    optimizer = optim.SGD(parameters, lr=lambda step: float("nan"))
    with pytest.raises(ValueError, match="lr=nan"):
        optimizer.step({"a": np.ones(1)})
    assert (parameters["a"][0], optimizer.steps) == (0, 0)


@each_rule
def test_a_loaded_state_goes_on_as_if_nothing_had_happened(make, rng):
    parameters = draw(rng, {"a": np.ones((2, 3)), "b": np.ones(4)})
    batches = [draw(rng, parameters) for _ in range(4)]
    there, here = make(parameters), None
    for grads in batches[:2]:
        there.step(grads)
    twins = copies(parameters)
    here = make(twins)
    here.load_state_dict(there.state_dict())
    for grads in batches[2:]:
        there.step(grads)
        here.step(grads)
    assert equal(parameters, twins)
    assert equal(there.state_dict(), here.state_dict())
    assert here.steps == 4


def test_a_state_that_does_not_fit_is_refused_whole(rng):
    parameters = {"a": np.ones(2), "b": np.ones(3)}
    optimizer = optim.Adam(parameters)
    optimizer.step(draw(rng, parameters))
    before = optimizer.state_dict()
    state = {**before, "exp_avg.a": np.ones(5), "else": np.ones(1)}
    del state["exp_avg_sq.b"]
    with pytest.raises(ValueError, match=r"exp_avg_sq.b: missing\n.*else: unexpected\n.*exp_avg.a: float64 \(5,\)"):
        optimizer.load_state_dict(state)
    with pytest.raises(ValueError, match="steps: missing"):
        optimizer.load_state_dict({})
    assert equal(optimizer.state_dict(), before)


PARAMETERS = {"a": np.ones(2)}


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: optim.SGD(PARAMETERS, lr=-1), ValueError, "lr=-1"),
        (lambda: optim.SGD(PARAMETERS, lr=float("nan")), ValueError, "lr=nan"),
        (lambda: optim.SGD(PARAMETERS, nesterov=True), ValueError, "nesterov"),
        (
            lambda: optim.SGD(PARAMETERS, momentum=0.9, groups={"a": {"nesterov": True, "momentum": 0}}),
            ValueError,
            "nes",
        ),
        (lambda: optim.RMSprop(PARAMETERS, alpha=1.5), ValueError, "alpha=1.5"),
        (lambda: optim.Adam(PARAMETERS, betas=(0.9, 1.0)), ValueError, "betas"),
        (
            lambda: optim.Adam(PARAMETERS, groups={"b": {"lr": 1}}),
            ValueError,
            "no parameter matches 'b'; the names are a",
        ),
        (lambda: optim.Adam(PARAMETERS, groups={"a": {"momentum": 1}}), ValueError, "sets 'momentum'; the options are"),
        (lambda: optim.Adam({"a": np.ones(2, int)}), TypeError, "a is no writable float array"),
        (lambda: optim.Adam({"a": [1.0]}), TypeError, "a is no writable float array"),
        (lambda: optim.Adam(PARAMETERS).step(None), TypeError, "NoneType came, a dict"),
    ],
)
def test_wrong_options_say_what_was_expected(make, error, says):
    with pytest.raises(error, match=says):
        make()
    assert (PARAMETERS["a"] == 1).all()


def test_a_parameter_replaced_by_another_shape_is_an_error():
    parameters = {"a": np.ones(2)}
    optimizer = optim.Adam(parameters)
    optimizer.step({"a": np.ones(2)})
    parameters["a"] = np.ones(3)
    with pytest.raises(ValueError, match="the parameter was replaced"):
        optimizer.step({"a": np.ones(3)})


def test_repr_shows_the_options():
    assert repr(optim.SGD(PARAMETERS, lr=0.5)).startswith("SGD(lr=0.5, momentum=0.0, ")
