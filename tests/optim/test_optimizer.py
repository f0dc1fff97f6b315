"""What all optimisers share: names, groups, checks before any update, frozen parameters, memory, and the state."""

import json
import pickle
import tracemalloc
from copy import deepcopy

import numpy as np
import pytest

import minirnn
from minirnn import LSTM, Linear, Module, Parameter, Sequential, optim
from minirnn.tier import tier

RULES = {
    "SGD": lambda p, **kw: optim.SGD(p, momentum=0.9, nesterov=True, weight_decay=0.1, **kw),
    "Adagrad": optim.Adagrad,
    "RMSprop": lambda p, **kw: optim.RMSprop(p, centered=True, momentum=0.5, **kw),
    "Adam": lambda p, **kw: optim.Adam(p, amsgrad=True, weight_decay=0.1, **kw),
    "AdamW": optim.AdamW,
}
each_rule = pytest.mark.parametrize("make", RULES.values(), ids=RULES)


def draw(rng, parameters):
    return {name: np.asarray(rng.standard_normal(p.shape), p.dtype) for name, p in parameters.items()}


def equal(first, second):
    return pickle.dumps(first) == pickle.dumps(second)


def small(rng):
    return {"a": rng.standard_normal((2, 2)), "b": rng.standard_normal(2)}


# ---------------------------------------------------------------- updates
@each_rule
@pytest.mark.usefixtures("on_tier")
def test_a_model_is_updated_in_place_and_the_gradients_stay(make, rng):
    model = LSTM(3, 4, rng=rng)
    live, before = model.parameters(), deepcopy(model.parameters())
    grads = draw(rng, live)
    kept = deepcopy(grads)
    for g in grads.values():
        g.flags.writeable = False
    make(model).step(grads)
    assert all(live[name] is p and not np.array_equal(p, before[name]) for name, p in model.parameters().items())
    assert all(np.array_equal(grads[name], kept[name]) for name in kept)


def test_tied_parameters_are_one(rng):
    model = Sequential(Linear(3, 3, rng=rng), Linear(3, 3, rng=rng))
    minirnn.tie(model, "layers.1.weight", "layers.0.weight")
    before, grads = model.layers[1].weight.copy(), {name: np.ones_like(p) for name, p in model.parameters().items()}
    optim.SGD(model, lr=0.5).step(grads)
    assert np.array_equal(model.layers[1].weight, before - np.float32(0.5))


@each_rule
@pytest.mark.parametrize("shape", [(), (0, 3), (1,)])
def test_every_shape_keeps_float32(make, shape):
    parameters = {"a": np.ones(shape, np.float32)}
    optimizer = make(parameters, lr=np.float64(0.1))
    optimizer.step({"a": np.full(shape, 2.0, np.float32)})
    assert (parameters["a"] < 1).all()
    slots = optimizer.state_dict()["slots"]["a"].values()
    assert {(a.dtype, a.shape) for a in (parameters["a"], *slots)} == {(np.dtype(np.float32), shape)}


def test_a_numpy_scalar_is_a_gradient_of_shape_nothing():
    parameters = {"a": np.ones((), np.float32)}
    optim.SGD(parameters, lr=0.5).step({"a": np.float32(1)})
    assert parameters["a"] == 0.5


@each_rule
@pytest.mark.parametrize("shape", [(100_003,), (700, 301), (1, 100_003), (3, 70_000)])
def test_blocks_give_the_numbers_of_one_piece(make, shape, rng, monkeypatch):
    start = {"a": rng.standard_normal(shape, dtype=np.float32), "b": np.asfortranarray(rng.standard_normal((300, 400)))}
    batches = [draw(rng, start) for _ in range(3)]
    runs = []
    for block in (optim.blocks.BLOCK, 1 << 40):
        monkeypatch.setattr(optim.blocks, "BLOCK", block)
        parameters = {name: p.copy("K") for name, p in start.items()}
        optimizer = make(parameters)
        with tier("numpy"):
            for grads in batches:
                optimizer.step(grads)
        runs.append((parameters, optimizer.state_dict()["slots"]))
    (first, first_slots), (second, second_slots) = runs
    assert all(np.array_equal(first[name], second[name]) for name in start)
    assert all(np.array_equal(a, second_slots["a"][slot]) for slot, a in first_slots["a"].items())


@each_rule
@pytest.mark.usefixtures("on_tier")
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("view", [np.asarray, np.transpose, lambda w: w[::2]], ids=["C", "F", "strided"])
def test_no_array_is_allocated_after_the_first_step(make, view, maximize, rng):
    parameters = {"w": view(rng.standard_normal((1200, 600)))}
    optimizer, grads = make(parameters, maximize=maximize), {"w": view(rng.standard_normal((1200, 600)))}
    optimizer.step(grads)
    tracemalloc.start()
    for _ in range(3):
        optimizer.step(grads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250_000 < parameters["w"].nbytes / 10  # NumPy's own buffers are of fixed size


def test_the_first_step_computes_in_a_block_and_not_in_a_copy_of_the_parameter(rng):
    parameters = {"w": rng.standard_normal((1200, 600))}
    grads = draw(rng, parameters)
    optimizer = optim.SGD(parameters)
    tracemalloc.start()
    optimizer.step(grads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < parameters["w"].nbytes / 10
    assert len(pickle.dumps(optimizer)) < 1.01 * parameters["w"].nbytes


# ---------------------------------------------------------------- wrong gradients
WRONG = {
    "b: missing": lambda g: g.pop("b"),
    "c: unexpected": lambda g: g.update(c=np.zeros(2)),
    r"b: float64 \(3,\) came, float64 \(2,\) was expected": lambda g: g.update(b=np.zeros(3)),
    r"b: float32 \(2,\) came, float64": lambda g: g.update(b=np.zeros(2, np.float32)),
    "b: list came": lambda g: g.update(b=[0.0, 0.0]),
    "b: 1 of 2 entries are nan": lambda g: g.update(b=np.array([np.nan, 0])),
    "b: 2 of 2 entries are nan": lambda g: g.update(b=np.array([np.inf, -np.inf])),
    "b: 2 of 2 entries are nan or": lambda g: g.update(b=np.full(2, 0x7FF0000000000001, "u8").view("f8")),  # signalling
}


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("says", WRONG)
@pytest.mark.usefixtures("on_tier")
@each_rule
def test_a_wrong_gradient_is_named_and_changes_nothing(make, says, steps, rng):
    parameters = small(rng)
    optimizer = make(parameters)
    for _ in range(steps):
        optimizer.step(draw(rng, parameters))
    before, state = deepcopy(parameters), optimizer.state_dict()
    grads = draw(rng, parameters)
    WRONG[says](grads)
    with pytest.raises(ValueError, match=f"but\n  {says}"):
        optimizer.step(grads)
    assert equal(parameters, before)
    assert equal(optimizer.state_dict(), state)


def test_all_problems_are_in_one_error():
    optimizer = optim.SGD({"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)})
    with pytest.raises(ValueError, match=r"a: missing\n  d: unexpected\n  b: .*\n  c: 2 of 2") as error:
        optimizer.step({"b": np.ones(3), "c": np.full(2, np.inf), "d": np.ones(2)})
    assert "SGD.step: nothing was updated; one finite gradient" in str(error.value)


@pytest.mark.parametrize("rule", ["Adagrad", "RMSprop", "Adam", "AdamW"])
@pytest.mark.parametrize("entry", [2e19, -3e38])
@pytest.mark.usefixtures("on_tier")
def test_a_huge_gradient_is_taken_where_it_is_not_squared_and_refused_where_its_square_overflows(entry, rule):
    grads = {"a": np.array([0, entry], np.float32)}
    parameters = {"a": np.zeros(2, np.float32)}
    optim.SGD(parameters, lr=1e-38).step(grads)
    assert np.allclose(parameters["a"], [0, -entry * 1e-38])
    with pytest.raises(ValueError, match="whose squares overflow float32; clip them"):
        getattr(optim, rule)(parameters).step(grads)


@pytest.mark.usefixtures("on_tier")
def test_a_gradient_whose_squares_overflow_only_in_the_sum_is_taken():
    parameters = {"a": np.zeros(1000, np.float32)}
    optim.Adam(parameters, lr=0.5).step({"a": np.full(1000, 1e19, np.float32)})
    assert np.allclose(parameters["a"], -0.5)


@pytest.mark.parametrize(
    ("new", "became"),
    [(np.ones(3), r"float64 \(3,\)"), (np.ones(2, np.float32), r"float32 \(2,\)"), ([1.0, 1.0], "list")],
)
def test_a_parameter_that_became_another_is_an_error(new, became):
    parameters = {"a": np.ones(2)}
    optimizer = optim.Adam(parameters)
    optimizer.step({"a": np.ones(2)})
    parameters["a"] = new
    with pytest.raises(ValueError, match=f"a: the parameter became {became}; make a new optimiser"):
        optimizer.step({"a": np.ones(2)})


# ---------------------------------------------------------------- options and groups
def test_groups_change_options_of_matching_names_and_the_later_wins():
    parameters = {name: np.zeros(1) for name in ("embedding.w", "embedding.b", "head.b", "head.w")}
    groups = {"embedding.*": {"lr": 2.0, "maximize": True}, "*.b": {"lr": 3.0}}
    optim.SGD(parameters, lr=1.0, groups=groups).step({name: np.ones(1) for name in parameters})
    assert [float(p[0]) for p in parameters.values()] == [2, 3, -3, -1]


@each_rule
def test_every_rule_takes_groups(make):
    parameters = {"a": np.zeros(1), "b": np.zeros(1)}
    make(parameters, groups={"b": {"lr": 0.0}}).step({name: np.ones(1) for name in parameters})
    assert (parameters["a"][0] != 0, parameters["b"][0]) == (True, 0)


def test_each_group_keeps_the_slots_that_its_options_need():
    parameters = {"a": np.zeros(1), "b": np.zeros(1)}
    optimizer = optim.SGD(parameters, groups={"b": {"momentum": 0.9}})
    optimizer.step({"a": np.ones(1), "b": np.ones(1)})
    assert {name: list(slots) for name, slots in optimizer.state_dict()["slots"].items()} == {
        "a": [],
        "b": ["momentum_buffer"],
    }


def test_the_learning_rate_can_be_a_schedule_or_set_by_hand_and_a_groups_own_stays():
    parameters, grads = {"a": np.zeros(1), "b": np.zeros(1)}, {"a": np.ones(1), "b": np.ones(1)}
    groups = {"b": {"lr": lambda step: 10.0 ** (step + 1)}}
    optimizer = optim.SGD(parameters, lr=lambda step: 1.0 / (step + 1), groups=groups)
    assert optimizer.lr == 1.0
    optimizer.step(grads)
    assert optimizer.lr == 0.5
    optimizer.step(grads)
    optimizer.lr = 2.0
    optimizer.step(grads)
    assert (parameters["a"][0], parameters["b"][0]) == (-3.5, -1110)


@pytest.mark.parametrize("groups", [None, {"b": {"lr": lambda step: -1.0}}])
def test_a_schedule_that_gives_no_learning_rate_changes_nothing(groups):
    parameters = {"a": np.zeros(1), "b": np.zeros(1)}
    optimizer = optim.SGD(parameters, lr=lambda step: 1.0 if groups else float("nan"), groups=groups)
    with pytest.raises(ValueError, match=r"SGD: at step 0: lr=(nan|-1.0) came"):
        optimizer.step({"a": np.ones(1), "b": np.ones(1)})
    assert (parameters["a"][0], parameters["b"][0], optimizer.steps) == (0, 0, 0)
    assert optimizer.state_dict()["slots"] == {}


PARAMETERS = {"a": np.ones(2)}
READ_ONLY = np.ones(2)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("rule", "options", "says"),
    [
        ("SGD", {"lr": -1}, "lr=-1 came, a finite number >= 0"),
        ("SGD", {"lr": float("nan")}, "lr=nan came"),
        ("SGD", {"lr": float("inf")}, "lr=inf came"),
        ("SGD", {"momentum": 1.0}, r"momentum=1.0 came, a number in \[0, 1\)"),
        ("SGD", {"nesterov": True}, "nesterov=True came with momentum=0.0"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening=0.1; it needs"),
        ("SGD", {"dampening": 0.1}, "dampening=0.1 came without momentum"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "groups": {"a": {"momentum": 0}}}, "momentum=0.0"),
        ("Adagrad", {"lr_decay": -0.1}, "lr_decay=-0.1"),
        ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value=-1"),
        ("RMSprop", {"alpha": 1.5}, "alpha=1.5"),
        ("Adam", {"eps": 0.0}, "eps=0.0 came, a finite number > 0"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas\[1\]=1.0 came"),
        ("Adam", {"betas": 0.9}, "betas=0.9 came, two numbers"),
        ("AdamW", {"weight_decay": -1}, "weight_decay=-1"),
        ("Adam", {"groups": {"b*": {"lr": 1}}}, r"groups\['b\*'\]: no parameter matches 'b\*'; the names are a"),
        ("Adam", {"groups": {"a": {"momentum": 1}}}, "sets 'momentum'; the options are lr, betas"),
        ("Adam", {"groups": {"a": {"lr": -1}}}, r"groups\['a'\]: lr=-1"),
    ],
)
def test_an_impossible_option_says_what_was_expected(rule, options, says):
    with pytest.raises(ValueError, match=says):
        getattr(optim, rule)(PARAMETERS, **options)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: optim.SGD(PARAMETERS, lr="fast"), TypeError, "lr='fast' came"),
        (lambda: optim.SGD(PARAMETERS, lr=True), TypeError, "lr=True came"),
        (lambda: optim.Adam(PARAMETERS, amsgrad=1), TypeError, "amsgrad=1 came, True or False"),
        (lambda: optim.Adam(PARAMETERS, groups=["a"]), TypeError, "groups is a list"),
        (lambda: optim.Adam(PARAMETERS, groups={"a": 0.1}), TypeError, r"groups\['a'\] is 0.1, a dict"),
        (lambda: optim.Adam([np.ones(2)]), TypeError, "list came, a Module or a dict"),
        (lambda: optim.Adam({"a": [1.0]}), TypeError, "a is a list"),
        (lambda: optim.Adam({"a": np.ones(2, int)}), TypeError, "a is int64"),
        (lambda: optim.Adam({"a": np.ones(2, np.float16)}), TypeError, "a is float16, float32 or float64"),
        (lambda: optim.Adam({"a": READ_ONLY}), ValueError, "a is read-only"),
        (lambda: optim.Adam({"a": PARAMETERS["a"], "b": PARAMETERS["a"]}), ValueError, "a and b are one array"),
        (lambda: optim.Adam(PARAMETERS).step([np.ones(2)]), TypeError, "list came, a dict of gradients"),
        (lambda: setattr(optim.Adam(PARAMETERS), "lr", -1), ValueError, "lr=-1"),
    ],
)
def test_misuse_is_an_error(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_repr_shows_the_options():
    shown = repr(optim.SGD(PARAMETERS, lr=0.5, groups={"a": {"lr": 0.1}}))
    assert shown.startswith("SGD(lr=0.5, momentum=0.0, ")
    assert shown.endswith("groups={'a': {'lr': 0.1}})")


# ---------------------------------------------------------------- frozen parameters
def test_frozen_parameters_are_passed_over_and_go_on_with_their_slots(rng):
    model = Linear(2, 3, rng=rng)
    twin = deepcopy(model)
    optimizer, twins = optim.Adam(model), optim.Adam(twin)
    one, two = draw(rng, model.parameters()), draw(rng, model.parameters())
    optimizer.step(one)
    model.freeze("weight")
    with pytest.raises(ValueError, match="weight: unexpected, it is frozen"):
        optimizer.step(one)
    optimizer.step({"bias": one["bias"]})
    assert optimizer.state_dict()["updates"] == {"weight": 1, "bias": 2}
    optimizer.step({"bias": two["bias"]})
    model.unfreeze()
    optimizer.step(two)
    twins.step(one)
    twins.step(two)
    assert np.array_equal(model.weight, twin.weight)
    assert not np.array_equal(model.bias, twin.bias)


def test_a_parameter_frozen_from_the_start_costs_no_slots_until_it_is_trained(rng):
    model = Linear(2, 3, rng=rng).freeze("weight")
    optimizer = optim.Adam(model)
    optimizer.step(draw(rng, model.parameters()))
    state = optimizer.state_dict()
    assert (state["updates"], list(state["slots"])) == ({"weight": 0, "bias": 1}, ["bias"])
    model.unfreeze()
    optimizer.load_state_dict(state)
    optimizer.step(draw(rng, model.parameters()))
    assert optimizer.state_dict()["updates"] == {"weight": 1, "bias": 2}


# ---------------------------------------------------------------- state
def through_state_dict(make, parameters, optimizer):
    twins = deepcopy(parameters)
    twin = make(twins)
    twin.load_state_dict(optimizer.state_dict())
    return twins, twin


def through_deepcopy(make, parameters, optimizer):
    return deepcopy((parameters, optimizer))


def through_pickle(make, parameters, optimizer):
    return pickle.loads(pickle.dumps((parameters, optimizer)))


@each_rule
@pytest.mark.parametrize("copied", [through_state_dict, through_deepcopy, through_pickle])
def test_a_copy_goes_on_bit_for_bit_and_shares_nothing(make, copied, rng):
    parameters = {**small(rng), "large": rng.standard_normal((300, 200))}
    scheduled = lambda p: make(p, lr=optim.cosine(0.1, 6, warmup=2))
    optimizer = scheduled(parameters)
    batches = [draw(rng, parameters) for _ in range(5)]
    for grads in batches[:2]:
        optimizer.step(grads)
    twins, twin = copied(scheduled, parameters, optimizer)
    for grads in batches[2:]:
        twin.step(grads)
    assert not np.array_equal(parameters["a"], twins["a"])
    for grads in batches[2:]:
        optimizer.step(grads)
    assert equal(parameters, twins)
    assert equal(optimizer.state_dict(), twin.state_dict())
    assert twin.steps == 5


def test_the_state_is_arrays_and_json_and_stays_as_it_was(rng):
    parameters = small(rng)
    optimizer = optim.Adam(parameters)
    optimizer.step(draw(rng, parameters))
    state = optimizer.state_dict()
    slots, rest = state["slots"], {key: value for key, value in state.items() if key != "slots"}
    assert json.loads(json.dumps(rest)) == {"rule": "Adam", "step": 1, "updates": {"a": 1, "b": 1}}
    assert {name: list(own) for name, own in slots.items()} == {name: ["exp_avg", "exp_avg_sq"] for name in "ab"}
    before = deepcopy(state)
    optimizer.step(draw(rng, parameters))
    assert equal(state, before)


def change(*path, value=None):
    """A change of a nested dict at a path: another value, or none at all."""

    def apply(state):
        for key in path[:-1]:
            state = state[key]
        state.pop(path[-1]) if value is None else state.update({path[-1]: value})

    return apply


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (change("rule", value="SGD"), "the state of 'SGD' came, that of 'Adam'"),
        (change("step"), "step: missing"),
        (change("step", value=-1), "step: -1 came, an integer >= 0"),
        (change("step", value=1.5), "step: 1.5 came"),
        (change("updates", "a"), "updates.a: missing"),
        (change("updates", "a", value="x"), "updates.a: 'x' came"),
        (change("updates", "b", value=0), "slots.b.exp_avg: unexpected"),
        (change("slots", "a", "exp_avg"), "slots.a.exp_avg: missing"),
        (change("slots", "c", value={"exp_avg": np.ones(2)}), "slots.c.exp_avg: unexpected"),
        (change("slots", "b", "exp_avg", value=np.ones(3)), r"slots.b.exp_avg: float64 \(3,\) came, float64 \(2,\)"),
        (change("slots", "b", "exp_avg", value=np.ones(2, np.float32)), r"slots.b.exp_avg: float32 \(2,\) came"),
        (change("slots", "b", "exp_avg", value=np.full(2, np.nan)), "2 of 2 entries are nan"),
        (change("extra", value=1), "extra: unexpected"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(break_it, says, rng):
    parameters = small(rng)
    optimizer = optim.Adam(parameters)
    optimizer.step(draw(rng, parameters))
    state = optimizer.state_dict()
    optimizer.step(draw(rng, parameters))
    before = optimizer.state_dict()
    break_it(state)
    with pytest.raises(ValueError, match=says):
        optimizer.load_state_dict(state)
    assert equal(optimizer.state_dict(), before)


def test_a_state_of_several_faults_lists_them_all(rng):
    optimizer = optim.Adam(small(rng))
    with pytest.raises(ValueError, match=r"nothing was loaded:\n  step: missing\n(.*\n)*  stray: unexpected"):
        optimizer.load_state_dict({"rule": "Adam", "stray": 1})
    with pytest.raises(ValueError, match="the state of 'NoneType' came"):
        optimizer.load_state_dict(None)


# ---------------------------------------------------------------- rules of your own
class SignDescent(optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, lr=lr)

    def slots(self, options):
        return {}

    def update(self, p, g, slots, lr, options, t, work):
        p -= lr * np.sign(g)


def test_a_rule_of_ones_own_is_two_methods():
    class Model(Module):
        def __init__(self):
            self.w = Parameter([1.0, 2.0])

    model = Model()
    SignDescent(model, 0.5).step({"w": np.float32([3, -4])})
    assert model.w.tolist() == [0.5, 2.5]


@pytest.mark.parametrize(
    ("dtype", "size", "alpha"), [(np.float32, 3.3, 0.9), (np.float64, 0.7, 0.5), (np.float64, 1.1, 0.5)]
)
def test_a_gradient_that_never_changes_has_no_variance_below_zero(dtype, size, alpha):
    p = {"w": np.zeros(3, dtype)}
    optimiser = optim.RMSprop(p, 1e-3, centered=True, alpha=alpha)
    for _ in range(150):
        optimiser.step({"w": np.full(3, size, dtype)})
    assert np.isfinite(p["w"]).all()


def test_a_state_that_was_taken_up_is_not_changed_by_the_next_step(rng):
    parameters, gradient = {"w": rng.standard_normal(4)}, {"w": rng.standard_normal(4)}
    first, second = optim.Adam(parameters), optim.Adam(parameters)
    first.step(gradient)
    state = first.state_dict()
    kept = state["slots"]["w"]["exp_avg"].copy()
    second.load_state_dict(state)
    second.step(gradient)
    assert np.array_equal(state["slots"]["w"]["exp_avg"], kept)
