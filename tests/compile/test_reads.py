"""What code is found to read, function by function."""

import os.path
import sys
import types
from dataclasses import replace
from functools import lru_cache

import autograd.numpy as anp
import pytest

from minirnn.compile.reads import Read, imported, reads, rules, written
from minirnn.compile.values import Unhashable
from minirnn.primitive import primitive

CONFIG, SCALE, NAMES = types.SimpleNamespace(layer=types.SimpleNamespace(gain=1.0)), 1.0, ("gain", "size.width")

IN_EACH_BRANCH = ("gain",) if sys.version_info >= (3, 12) else ()  # Python copies what follows a condition


def chain(x):
    return CONFIG.layer.gain * x.T


def call(x):
    return CONFIG.method(x.shape)


def branch(x):
    return (CONFIG if x else x).gain


def inner(x):
    return [CONFIG.layer * part.size for part in x]


def in_a_lambda(x):
    return lambda y: y.width * SCALE


def an_import(x):
    import os.path

    return os.path.sep


def an_import_from(x):
    from os.path import sep

    return sep


def constant_name(x):
    return getattr(CONFIG, "gain")  # noqa: B009


def constant_name_of_a_chain(x):
    return getattr(CONFIG.layer, "gain")  # noqa: B009


def computed_name(x):
    return getattr(CONFIG, x)


def constant_name_with_a_default(x):
    return getattr(CONFIG, "gain", x)


def composed_name(x):
    return getattr(CONFIG, "gain" + x)


def name_with_a_place(x):
    return getattr(CONFIG.layer, f"gain_{x}")


def name_of_a_method(x):
    return getattr(CONFIG, "GAIN".lower())


def composed_name_with_a_default(x):
    return getattr(CONFIG, "gain" + x, None)


def asks(x):
    return hasattr(CONFIG, x.name)


def all_names(x):
    return vars(x)


def its_dict(x):
    return x.__dict__


def of_a_library(x):
    return replace(x, a=1)


def replaces(x):
    return x.replace("a", "b")


def all_globals(x):
    return globals()[x.which]


def in_a_tuple(x):
    return x in ("gain", ("size", 3), "no name", "size.width")


def assigns(x):
    global SCALE
    SCALE = x


def deletes(x):
    global SCALE
    del SCALE


def pattern(x):
    match x:
        case types.SimpleNamespace(gain=g):
            return g


def closures():
    held, count = CONFIG, 0

    def reads_it(x):
        return held.layer.gain

    def sets_it(x):
        nonlocal count
        count += 1

    def has_its_own(x):
        own = 1

        def within():
            nonlocal own
            own = 2

        within()
        return own

    return reads_it, sets_it, has_its_own


READS_IT, SETS_IT, HAS_ITS_OWN = closures()


def outside(function):
    return {(read.kind, read.name, read.chain) for read in reads(function.__code__).outside}


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (chain, {("global", "CONFIG", ("layer", "gain"))}),
        (call, {("global", "CONFIG", ("method",))}),
        (branch, {("global", "CONFIG", IN_EACH_BRANCH)}),
        (inner, {("global", "CONFIG", ("layer",))}),
        (in_a_lambda, {("global", "SCALE", ())}),
        (an_import_from, {("import", "os.path", ())}),
        (constant_name, {("global", "CONFIG", ()), ("global", "getattr", ())}),
        (constant_name_of_a_chain, {("global", "CONFIG", ("layer",)), ("global", "getattr", ())}),
        (READS_IT, {("closure", "held", ("layer", "gain"))}),
        (SETS_IT, {("closure", "count", ())}),
        (HAS_ITS_OWN, set()),
        (all_globals, {("global", "globals", ()), ("perhaps", "which", ())}),
    ],
)
def test_what_is_read_outside_is_a_name_and_the_attributes_asked_of_it(function, found):
    assert outside(function) == found


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (chain, {"T"}),
        (call, {"shape"}),
        (branch, {"gain"}),
        (inner, {"size"}),
        (in_a_lambda, {"width"}),
        (an_import_from, {"sep"}),
        (constant_name, {"gain"}),
        (asks, {"name"}),
        (in_a_tuple, {"gain", "size", "width"}),
        (pattern, {"gain"}),
        (its_dict, {"__dict__"}),
    ],
)
def test_attributes_of_anything_else_and_strings_that_may_name_one_are_names(function, names):
    assert names <= reads(function.__code__).names <= names | {"in_a_lambda", "inner"}


def test_an_import_s_attributes_are_names():
    assert "sep" in reads(an_import.__code__).names


@pytest.mark.parametrize(
    ("function", "any_name"),
    [
        (chain, False), (constant_name, False), (constant_name_of_a_chain, False), (computed_name, True), (asks, True),
        (constant_name_with_a_default, False), (composed_name, True), (name_with_a_place, True),
        (name_of_a_method, True), (composed_name_with_a_default, True),
        (all_names, True), (its_dict, True), (of_a_library, True), (replaces, False), (all_globals, False),
    ],
)  # fmt: skip
def test_names_that_are_computed_may_be_any(function, any_name):
    assert reads(function.__code__).any_name == any_name


@pytest.mark.parametrize(
    ("function", "assigned"),
    [(chain, set()), (assigns, {"SCALE"}), (deletes, {"SCALE"}), (SETS_IT, {"count"}), (HAS_ITS_OWN, set())],
)
def test_what_is_assigned_outside_is_told_from_what_is_a_functions_own(function, assigned):
    assert reads(function.__code__).assigned == assigned


def test_the_same_code_is_read_once():
    assert reads(chain.__code__) is reads(chain.__code__)
    assert isinstance(reads, type(lru_cache(lambda: None)))
    assert reads(chain.__code__).outside == (Read("global", "CONFIG", ("layer", "gain")),)


# ---------------------------------------------------------------- imports, rules, code
def test_an_import_brings_the_packages_around_a_module_first():
    assert imported("os.path", chain) == (os, os.path)
    with pytest.raises(Unhashable, match="chain imports not_there, which is not imported yet"):
        imported("not_there", chain)


def test_an_import_within_a_package_brings_its_modules(monkeypatch):
    space = {"__package__": "minirnn.compile"}
    function = types.FunctionType(chain.__code__, space)
    found = imported("reads", function)
    assert found == tuple(sys.modules[name] for name in ("minirnn", "minirnn.compile", "minirnn.compile.reads"))
    assert imported("", function) == found[:2]


def test_rules_of_a_primitive_are_a_users_functions_with_all_that_they_hold():
    def slope(g, y, a, *, by=lambda g: 3 * g):
        return inner_slope(g) * by(a)

    inner_slope = lambda g: 2 * g
    value = lambda a: a * a
    found = rules(primitive(value, [slope]))
    assert set(found) == {slope, inner_slope, slope.__kwdefaults__["by"], value}
    assert found == sorted(found, key=lambda f: f.__code__.co_firstlineno)
    assert rules(anp.tanh) == []


def code(text):
    space = {}
    exec(text, space)
    return space["f"].__code__


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x): return x + 1", "def f(x): return x + 2"),
        ("def f(x): return x + 1", "def f(x): return x + 1.0"),
        ("def f(x): return x + 0.0", "def f(x): return x + -0.0"),
        ("def f(x): return x + 1", "def f(x): return x - 1"),
        ("def f(x): return x.a", "def f(x): return x.b"),
        ("def f(x): return x", "def f(*x): return x"),
        ("def f(x): return lambda: 1", "def f(x): return lambda: 2"),
        ("def f(x): return x in {1, 2}", "def f(x): return x in {1, 3}"),
        ("def f(x, y): return x", "def f(y, x): return x"),
    ],
)
def test_code_counts_by_what_it_does(one, other):
    assert written(code(one)) == written(code("\n\n" + one))
    assert written(code(one)) != written(code(other))


def test_sets_in_code_count_in_any_order():
    text = "def f(x): return x in {%s}"
    assert repr(written(code(text % "1, 9, 17"))) == repr(written(code(text % "17, 9, 1")))
