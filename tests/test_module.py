import dataclasses
import functools
import pickle
from collections import defaultdict, deque
from copy import deepcopy
from types import SimpleNamespace
from typing import ClassVar, NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from random_modules import at, module_trees

import minirnn
from minirnn import Buffer, Linear, Module, Parameter, Sequential


class Pair(NamedTuple):
    first: object
    second: object


class Affine(Module):
    def __init__(self, size=3, dtype=np.float32):
        self.weight = Parameter(np.arange(size * size, dtype=dtype).reshape(size, size))
        self.bias = Parameter(np.zeros(size, dtype))
        self.mean = Buffer(np.zeros(size, dtype))


class Holder(Module):
    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


# ---------------------------------------------------------------- over random trees
@given(module_trees())
def test_parameters_are_the_trained_homes_in_the_order_of_definition(case):
    model, expected = case
    assert list(model.parameters()) == expected.trained()
    assert all(value is at(model, path) for path, value in model.parameters().items())
    assert set(model.state_dict()) == set(expected.home.values())


@given(module_trees())
def test_bind_of_the_parameters_is_the_same_tree(case):
    model, _ = case
    bound = model.bind(model.parameters())
    assert all(bound.parameters()[path] is value for path, value in model.parameters().items())
    assert repr(bound) == repr(model)


@given(module_trees())
def test_bind_puts_new_arrays_at_every_tied_site_and_leaves_the_original(case):
    model, expected = case
    before = model.state_dict()
    new = {path: value + 1 for path, value in before.items()}
    bound = model.bind(new)
    assert all(at(bound, path) is new[home] for path, home in expected.home.items())
    assert all(np.array_equal(value, before[path]) for path, value in model.state_dict().items())


@given(module_trees())
def test_state_dict_round_trip(case):
    model, expected = case
    state = model.state_dict()
    other = deepcopy(model)
    for path in expected.home:
        at(other, path)[...] = 7
    other.load_state_dict(state)
    assert all(np.array_equal(at(other, path), at(model, path)) for path in expected.home)
    assert not any(np.shares_memory(state[home], at(model, home)) for home in state)


@given(module_trees())
def test_copies_keep_values_ties_and_frozen_names(case):
    model, expected = case
    for copy in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert repr(copy) == repr(model)
        assert list(copy.parameters()) == expected.trained()
        assert all(at(copy, path) is at(copy, home) for path, home in expected.home.items())
        assert not any(np.shares_memory(at(copy, path), at(model, path)) for path in expected.home)


@given(module_trees())
def test_astype_changes_floats_only_and_keeps_ties_and_frozen_names(case):
    model, expected = case
    new = model.astype(np.float16)
    assert all(at(new, path).dtype == np.float16 for path in expected.home)
    assert all(at(new, path) is at(new, home) for path, home in expected.home.items())
    assert list(new.parameters()) == expected.trained()
    assert all(at(model, path).dtype != np.float16 for path in expected.home)


# ---------------------------------------------------------------- attributes
def test_reading_a_parameter_gives_the_array_and_assigning_writes_into_it():
    model = Affine()
    live = model.parameters()["weight"]
    model.weight = np.ones((3, 3), np.float32)
    assert model.weight is live
    assert live.sum() == 9


def test_parameter_keeps_a_float_dtype_and_copies():
    source = np.zeros(3)
    counts = np.arange(3)
    model = Holder(a=Parameter(source), b=Parameter([1, 2]), c=Buffer(counts))
    source[:] = 5
    counts[:] = 5
    assert model.a.dtype == np.float64
    assert model.c.tolist() == [0, 1, 2]
    assert not model.a.any()
    assert model.b.dtype == np.float32
    assert model.c.dtype == np.int64


def test_astype_leaves_integer_buffers():
    assert Holder(count=Buffer(np.arange(3)), a=Parameter([1.0])).astype(np.float64).count.dtype == np.int64


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (np.ones((2, 2), np.float32), ValueError, r"shape \(2, 2\) came, \(3, 3\)"),
        (np.ones((3, 3)), ValueError, "float64 came, float32"),
        ("ones", TypeError, "str came"),
        (None, TypeError, "NoneType came"),
        (2.0, ValueError, r"shape \(\) came"),
    ],
)
def test_assigning_something_else_to_a_parameter_is_refused_and_writes_nothing(value, error, says):
    model = Affine()
    before = model.state_dict()
    with pytest.raises(error, match=says):
        model.weight = value
    assert np.array_equal(model.weight, before["weight"])


@pytest.mark.parametrize("value", [np.zeros(3), [np.zeros(3)], {"a": (np.zeros(3),)}])
def test_a_bare_array_is_refused_with_the_words_that_help(value):
    with pytest.raises(TypeError, match=r"wrap it in Parameter .* or Buffer"):
        Affine().stray = value


def test_an_array_computed_from_a_parameter_inside_a_gradient_is_refused():
    class Caching(Affine):
        def __call__(self):
            object.__getattribute__(self, "__dict__")["_bound"] = False
            self.half = self.weight[:1]
            return 0.0

    with pytest.raises(TypeError, match="wrap it in Parameter"):
        minirnn.grad(lambda model: model())(Caching())


def test_a_bound_copy_is_read_only():
    bound = Affine().bind({})
    with pytest.raises(TypeError, match="a bound copy is read-only"):
        bound.cache = 1


def method_of(module):
    return module.__call__


def closure_over(module):
    return lambda x: module(x)


def default_holding(module):
    return lambda x, layer=module: layer(x)


@pytest.mark.parametrize("capture", [method_of, closure_over, default_holding])
def test_a_function_that_holds_a_module_is_refused(capture):
    with pytest.raises(TypeError, match="a function that holds a Module"):
        Affine().activation = capture(Linear(3, 3))


def test_a_plain_function_is_an_ordinary_attribute():
    model = Holder(activation=np.tanh, scale=lambda x: 2 * x)
    assert model.scale(2) == 4
    assert not model.parameters()


@pytest.mark.parametrize("name", ["bind", "parameters", "freeze"])
def test_a_parameter_cannot_take_the_name_of_a_method(name):
    with pytest.raises(TypeError, match="the name is taken"):
        setattr(Affine(), name, Parameter([1.0]))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Parameter(np.arange(3)), TypeError),
        (lambda: Parameter(np.zeros(3, complex)), TypeError),
        (lambda: Buffer(np.array([object()])), TypeError),
        (lambda: Holder(layers=[Affine(), 3]), TypeError),
        (lambda: Holder(both=[Parameter([1.0])]), TypeError),
        (lambda: Affine().freeze("nothing*"), ValueError),
        (lambda: Affine().bind({"nothing": np.zeros(3)}), ValueError),
        (lambda: Affine().bind({"weight": np.zeros(3)}), ValueError),
        (lambda: Affine().astype(int), TypeError),
        (lambda: Affine().bind({}).freeze(), TypeError),
    ],
)
def test_misuse_is_an_error(make, error):
    with pytest.raises(error):
        make()


def test_a_module_cannot_contain_itself():
    outer = Holder(inner=Affine())
    with pytest.raises(ValueError, match="cannot contain itself"):
        outer.inner.loop = outer


def test_lists_and_dicts_of_modules_register_and_stay_as_they_are():
    layers, heads = [Affine(), Affine()], {0: Affine()}
    model = Holder(layers=layers, heads=heads, pair=Pair(Affine(), None))
    assert {"layers.1.weight", "heads.0.weight", "pair.0.weight"} <= set(model.parameters())
    assert model.layers is layers
    assert model.heads is heads
    bound = model.bind({})
    assert isinstance(bound.layers, list)
    assert bound.heads[0].bias is model.heads[0].bias
    assert bound.pair.first.bias is model.pair.first.bias
    for change in (lambda: bound.layers.append(Affine()), lambda: bound.heads.update(a=Affine())):
        with pytest.raises(TypeError, match="a bound copy is read-only"):
            change()
    deepcopy(bound).layers.append(Affine())


FILLED = {
    "append": ([], lambda c: c.append(Affine()), ["0"]),
    "extend": ([], lambda c: c.extend([Affine(), Affine()]), ["0", "1"]),
    "insert": ([], lambda c: c.insert(0, Affine()), ["0"]),
    "slice": ([], lambda c: c.__setitem__(slice(0, 0), [Affine()]), ["0"]),
    "iadd": ([], lambda c: c.__iadd__([Affine()]), ["0"]),
    "placeholder": ([None, None], lambda c: c.__setitem__(1, Affine()), ["1"]),
    "nested": ([[], []], lambda c: c[1].append(Affine()), ["1.0"]),
    "in a tuple": (([], None), lambda c: c[0].append(Affine()), ["0.0"]),
    "a list of dicts": ([], lambda c: c.append({"a": [Affine()]}), ["0.a.0"]),
    "key": ({}, lambda c: c.__setitem__("a", Affine()), ["a"]),
    "update": ({}, lambda c: c.update(a=Affine(), b=[Affine()]), ["a", "b.0"]),
    "setdefault": ({}, lambda c: c.setdefault(3, Affine()), ["3"]),
    "ior": ({"a": None}, lambda c: c.__ior__({"a": Affine()}), ["a"]),
    "defaultdict": (defaultdict(list), lambda c: c["a"].append(Affine()), ["a.0"]),
    "plain values first": ([1.0], lambda c: c.__setitem__(0, Affine()), ["0"]),
    "many plain values first": ([0.5] * 100, lambda c: c.__setitem__(slice(0, 101), [Affine()]), ["0"]),
}


@pytest.mark.parametrize("how", FILLED)
def test_modules_put_into_a_list_or_dict_after_it_was_assigned_belong_to_the_tree(how):
    start, put, places = FILLED[how]
    start = deepcopy(start)
    model = Holder(first=Affine(), layers=start)
    optimiser = minirnn.optim.SGD(model, lr=1.0)
    assert list(model.parameters()) == ["first.weight", "first.bias"]
    put(start)
    names = [f"layers.{place}.{name}" for place in places for name in ("weight", "bias")]
    assert list(model.parameters())[2:] == names
    assert set(model.state_dict()) > set(names)
    grads = minirnn.grad(lambda model: sum(anp.sum(p) for p in model.parameters().values()))(model)
    assert all(grads[name].all() for name in names)
    optimiser.step(grads)
    assert at(model, f"layers.{places[0]}").bias.tolist() == [-1, -1, -1]
    for copy in (deepcopy(model), pickle.loads(pickle.dumps(model)), model.astype(np.float64)):
        assert list(copy.parameters()) == list(model.parameters())
        assert repr(copy).replace("64", "32") == repr(model)


def test_changing_a_list_or_dict_of_modules_changes_the_tree():
    a, b, c = (Affine() for _ in range(3))
    model = Holder(layers=[a, b], heads={"a": c})
    path = lambda: [name.removesuffix(".bias") for name in model.parameters() if name.endswith("bias")]
    assert path() == ["layers.0", "layers.1", "heads.a"]
    model.layers.reverse()
    assert model.parameters()["layers.0.bias"] is b.bias
    del model.layers[0]
    model.heads["b"] = model.heads.pop("a")
    assert path() == ["layers.0", "heads.b"]
    model.layers[0] = Linear(2, 2)
    assert model.parameters()["layers.0.weight"].shape == (2, 2)
    model.layers.clear()
    model.heads.clear()
    assert path() == []
    model.layers.append(a)
    assert path() == ["layers.0"]


@pytest.mark.parametrize(
    ("start", "put", "says"),
    [
        ([], lambda c: c.extend([Affine(), 3]), r"layers\.1: int stands among Modules"),
        ([], lambda c: c.append(Parameter([1.0])), "give each Parameter or Buffer an attribute of its own"),
        ([1.0] * 100, lambda c: c.append(Parameter([1.0])), "give each Parameter or Buffer"),
        ([], lambda c: c.append(np.zeros(3)), "wrap it in Parameter"),
        ({}, lambda c: c.update(a={Affine()}), "a set that holds a Module"),
        ([], lambda c: c.append(closure_over(Affine())), "a function that holds a Module"),
        ({}, lambda c: c.update({1: Affine(), "1": Affine()}), "two arrays would be called 'layers.1.weight'"),
    ],
)
def test_what_cannot_belong_to_the_tree_is_refused_when_it_is_next_used(start, put, says):
    model = Holder(layers=start)
    assert model.num_parameters() == 0
    put(start)
    with pytest.raises((TypeError, ValueError), match=says):
        minirnn.grad(lambda model: 0.0)(model)


def test_a_module_put_into_its_own_list_is_refused():
    model = Holder(layers=[])
    model.layers.append(Holder(inner=[model]))
    with pytest.raises(ValueError, match=r"layers\.0\.inner\.0: a Module cannot contain itself"):
        model.parameters()


def test_a_list_of_numbers_may_grow():
    model = Holder(history=[], first=Affine())
    for i in range(200):
        model.history.append(float(i))
        assert len(model.parameters()) == 2
    assert len(model.bind({}).history) == 200
    model.history.append(Affine())
    with pytest.raises(TypeError, match="float stands among Modules"):
        model.parameters()


@pytest.mark.parametrize(
    "hide",
    [
        lambda module: {module},
        lambda module: deque([module]),
        lambda module: {"a": module}.values(),
        lambda module: SimpleNamespace(layer=[module]),
        lambda module: [functools.partial(module)],
        lambda module: functools.lru_cache(closure_over(module)),
        lambda module: dataclasses.make_dataclass("Config", ["layer"])(module),
    ],
)
def test_a_module_where_the_tree_cannot_look_is_refused(hide):
    with pytest.raises(TypeError, match="that holds a Module came"):
        Affine().stray = hide(Linear(3, 3))


def test_a_module_as_an_attribute_of_the_class_is_refused():
    class Shared(Module):
        layers: ClassVar = []

        def __init__(self):
            self.layers.append(Affine())

    with pytest.raises(TypeError, match=r"Shared\.layers: .*assign it in __init__"):
        Shared().parameters()


def test_functions_that_call_each_other_are_ordinary_attributes():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n > 0 and even(n - 1)

    assert Holder(even=even, both=[odd, even]).even(4)
    layer = Affine()

    def ping(x):
        return pong(layer(x))

    def pong(x):
        return ping(x)

    with pytest.raises(TypeError, match="a function that holds a Module"):
        Holder(pong=pong)


def test_a_list_inside_itself_is_looked_at_once():
    registry = [1]
    registry.append(registry)
    assert Holder(registry=registry, first=Affine()).num_parameters() == 12


def test_replacing_and_deleting_children_changes_the_tree():
    model = Holder(first=Affine(), second=Affine())
    model.first = Linear(2, 2)
    del model.second
    assert list(model.parameters()) == ["first.weight", "first.bias"]
    model.first = None
    assert not model.parameters()


def test_a_module_used_twice_is_one_module():
    shared = Affine()
    model = Holder(first=shared, second=shared)
    assert list(model.parameters()) == ["first.weight", "first.bias"]
    assert len(list(model.modules())) == 2
    bound = model.bind({"second.weight": np.ones((3, 3), np.float32)})
    assert bound.first is bound.second
    assert bound.first.weight.sum() == 9


# ---------------------------------------------------------------- state
def test_load_state_dict_lists_every_problem_and_writes_nothing():
    model = Affine()
    before = model.state_dict()
    wrong = {"weight": np.ones((2, 3), np.float32), "mean": np.ones(3), "stray": np.ones(3)}
    with pytest.raises(ValueError, match=r"(?s)weight: shape.*mean: dtype.*bias: missing.*stray: unexpected"):
        model.load_state_dict(wrong)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_load_state_dict_not_strict_passes_over_names_and_says_which():
    passed = Affine().load_state_dict({"weight": np.ones((3, 3), np.float32), "stray": np.ones(1)}, strict=False)
    assert passed.missing == ["bias", "mean"]
    assert passed.unexpected == ["stray"]


def test_load_state_dict_refuses_two_values_for_tied_names():
    model = Holder(a=Parameter([1.0, 2.0]), b=Parameter([3.0, 4.0]))
    minirnn.tie(model, "a", "b")
    two = {"a": np.zeros(2, np.float32), "b": np.ones(2, np.float32)}
    with pytest.raises(ValueError, match="tied"):
        model.load_state_dict(two)
    with pytest.raises(ValueError, match="tied"):
        model.bind(two)


# ---------------------------------------------------------------- tie, freeze
def test_tie_keeps_the_last_paths_array_and_either_name_means_both():
    model = Sequential(Linear(4, 4), Linear(4, 4))
    kept = model.layers[0].weight
    minirnn.tie(model, "layers.1.weight", "layers.0.weight")
    assert model.layers[1].weight is kept
    assert list(model.parameters()) == ["layers.0.weight", "layers.0.bias", "layers.1.bias"]
    model.layers[1].weight = np.zeros((4, 4), np.float32)
    assert not kept.any()
    model.freeze("layers.1.weight")
    assert list(model.parameters()) == ["layers.0.bias", "layers.1.bias"]


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (("a",), "two or more"),
        (("a", "nothing"), "no array is called"),
        (("a", "wide"), "shape"),
        (("a", "m"), "Buffer"),
    ],
)
def test_tie_refuses_what_cannot_be_one(paths, says):
    model = Holder(a=Parameter([1.0]), wide=Parameter([1.0, 2.0]), m=Buffer(np.ones(1, np.float32)))
    with pytest.raises(ValueError, match=says):
        minirnn.tie(model, *paths)


def test_frozen_parameters_are_saved_and_not_trained():
    model = Affine().freeze("w*")
    assert list(model.parameters()) == ["bias"]
    assert "weight" in model.state_dict()
    assert model.num_parameters() == 3
    assert list(model.unfreeze().parameters()) == ["weight", "bias"]


# ---------------------------------------------------------------- words
def test_the_repr_is_a_tree_with_names_shapes_dtypes_and_counts():
    model = Sequential(Linear(2, 3), Linear(3, 3)).freeze("layers.1.bias")
    minirnn.tie(model, "layers.1.bias", "layers.0.bias")
    assert repr(model).splitlines() == [
        "Sequential(): 18 parameters",
        "  layers.0: Linear(2, 3)",
        "    weight: (3, 2) float32, 6",
        "    bias: (3,) float32, 3",
        "  layers.1: Linear(3, 3)",
        "    weight: (3, 3) float32, 9",
        "    bias: (3,) float32, tied to layers.0.bias",
    ]


def test_arrays_read_as_arrays_inside_a_loss():
    model = Affine(dtype=np.float64)
    grads = minirnn.grad(lambda model: anp.sum(model.weight @ model.weight.T) + anp.sum(model.bias))(model)
    assert grads["bias"].tolist() == [1, 1, 1]
