"""A number that a step reads, wherever it sits, is changed between two calls: the second call has the new one."""

import array
import collections
import dataclasses
import enum
import functools
import sys
import types
from fractions import Fraction
from typing import ClassVar

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn.functional import linear

H, XS = onp.full((2, 3), 0.5), onp.ones((4, 2, 2))


def cell_of(gain):
    """A cell whose step multiplies by gain()."""

    @minirnn.cell(w=("hidden", "input"))
    def scaled(p, h, x):
        h = 0.5 * h + gain() * linear(x, p.w)
        return h, h

    return scaled(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64)


def outputs(cell, engine="auto"):
    return minirnn.scan(cell, H, XS, engine=engine)[1]


def is_seen(cell, change):
    """Both engines agree before and after, and the change is one. A warning would be an error: it is compiled."""
    before = outputs(cell)
    assert onp.allclose(before, outputs(cell, "python"), rtol=1e-12)
    change()
    assert onp.allclose(outputs(cell), outputs(cell, "python"), rtol=1e-12)
    assert not onp.allclose(outputs(cell), before)


class Base:
    gain = 2.0
    _hidden = 2.0
    table: ClassVar = {"gain": [1.0, 2.0]}

    class Inner:
        gain = 2.0

    @staticmethod
    def static():
        return Base.gain

    @classmethod
    def of_class(cls):
        return cls.gain

    @property
    def computed(self):
        return self._hidden

    def method(self):
        return self.gain

    def __getitem__(self, k):
        return self.gain

    def __call__(self):
        return self.gain


class Config(Base):
    pass


class Meta(type):
    level = 2.0

    @property
    def gain(cls):
        return cls._gain


class OfMeta(metaclass=Meta):
    _gain = 2.0


class Slots:
    __slots__ = ("__private", "gain")

    def __init__(self):
        self.gain = self.__private = 2.0

    def private(self):
        return self.__private

    def put(self, value):
        self.__private = value


@dataclasses.dataclass
class Data:
    gain: float = 2.0

    def double(self):
        return 2 * self.gain


class Lazy:
    def __init__(self):
        self.numbers = {"gain": 2.0}

    def __getattr__(self, name):
        return self.numbers[name]


class Descriptor:
    value = 2.0

    def __get__(self, instance, owner):
        return self.value


class Described:
    gain = Descriptor()


class Gains(enum.Enum):
    LOW = 2.0
    HIGH = 3.0


class Scale:
    def __init__(self, by):
        self.by = by

    def __rmul__(self, other):
        return other * self.by

    def scaled(self, a):
        return self.by * a


def helper():
    return helper.gain


helper.gain = 2.0

package, config = types.ModuleType("some_package"), types.ModuleType("some_package.config")
package.config, config.gain, config.inner, config.T = config, 2.0, types.SimpleNamespace(gain=2.0), 1.0
lazy_module = types.ModuleType("lazy_module")
exec("_numbers = {'gain': 2.0}\ndef __getattr__(name):\n    return _numbers[name]", lazy_module.__dict__)

GAIN, LIST, DICT, ARRAY = 2.0, [2.0], {"a": {"gain": 2.0}}, onp.array([2.0, 2.0, 2.0])
SCALAR, KEY = onp.float64(2.0), "LOW"
ORDERED, DEQUE, BYTES = collections.OrderedDict(gain=2.0), collections.deque([2.0]), array.array("d", [2.0])
Pair = collections.namedtuple("Pair", "gain other")
PAIR, SPACE, PROXY = Pair(2.0, 0), types.SimpleNamespace(gain=2.0), types.MappingProxyType(DICT["a"])
CHAIN, USER = collections.ChainMap({}, {"gain": 2.0}), collections.UserDict(gain=2.0)
FRACTION, DATA, SLOTS, CONFIG, LAZY, SCALE = Fraction(2), Data(), Slots(), Config(), Lazy(), Scale(2.0)
PARTIAL = functools.partial(lambda a, gain: gain * a, gain=2.0)
SELECTED = Gains.LOW
HERE = sys.modules[__name__]


def scaled_by_global(function):
    @functools.wraps(function)
    def wrapped():
        return GAIN * function()

    return wrapped


@scaled_by_global
def one():
    return 1.0


@functools.lru_cache
def remembered():
    return DICT["a"]["gain"]


def defaulted(gain=2.0):
    return gain


def keyword(*, gain=2.0):
    return gain


def imports():
    from some_package.config import gain

    return gain


def imports_whole():
    import some_package.config as settings

    return settings.gain


def aliased():
    settings = CONFIG
    return settings.gain


def by_argument(settings):
    return settings.gain


class Plain:
    """No code but the step's asks for what its objects hold."""


FIRST, SECOND = Plain(), Plain()
FIRST.level = SECOND.level = 2.0


def chosen():
    return (FIRST if GAIN else SECOND).level


def to(owner, name, value=3.0):
    """Set an attribute."""
    return lambda request, patch: patch.setattr(owner, name, value, raising=False)


def at(owner, key):
    """Set an item."""

    def change(request, patch):
        request.addfinalizer(lambda before=owner[key]: owner.__setitem__(key, before))
        owner[key] = 3.0

    return change


def longer(request):
    request.addfinalizer(LIST.pop)
    LIST.append(3.0)


PLACES = {
    "global": (lambda: GAIN, to(HERE, "GAIN")),
    "a scalar of NumPy": (lambda: SCALAR, to(HERE, "SCALAR", onp.float64(3.0))),
    "class attribute": (lambda: Base.gain, to(Base, "gain")),
    "class attribute, inherited": (lambda: Config.gain, to(Base, "gain")),
    "class attribute, hidden by a new one": (lambda: Config.gain, to(Config, "gain")),
    "class in a class": (lambda: Base.Inner.gain, to(Base.Inner, "gain")),
    "list in a dict of a class": (lambda: Base.table["gain"][1], at(Base.table["gain"], 1)),
    "class by getattr": (lambda: getattr(Base, "gain"), to(Base, "gain")),  # noqa: B009
    "class by a computed name": (lambda: getattr(Base, "ga" + "in".lower()), to(Base, "gain")),
    "class by vars": (lambda: vars(Base)["gain"], to(Base, "gain")),
    "class by __dict__": (lambda: Base.__dict__["gain"], to(Base, "gain")),
    "static method": (lambda: Base.static(), to(Base, "gain")),
    "class method": (lambda: Config.of_class(), to(Config, "gain")),
    "class method of an object": (lambda: CONFIG.of_class(), to(Base, "gain")),
    "method of an object": (lambda: CONFIG.method(), to(CONFIG, "gain")),
    "a new attribute of an object": (lambda: CONFIG.gain, to(CONFIG, "gain")),
    "object through a local name": (aliased, to(CONFIG, "gain")),
    "object as an argument": (lambda: by_argument(CONFIG), to(Base, "gain")),
    "one of two objects": (chosen, to(FIRST, "level")),
    "property": (lambda: CONFIG.computed, to(CONFIG, "_hidden")),
    "an object's [ ]": (lambda: CONFIG[0], to(Base, "gain")),
    "an object's ( )": (lambda: CONFIG(), to(Base, "gain")),
    "an object's *": (lambda: 1.0 * SCALE, to(SCALE, "by")),
    "another class of an object": (lambda: CONFIG.gain, to(CONFIG, "__class__", type("Other", (), {"gain": 3.0}))),
    "metaclass property": (lambda: OfMeta.gain, to(OfMeta, "_gain")),
    "metaclass attribute": (lambda: OfMeta.level, to(Meta, "level")),
    "slot": (lambda: SLOTS.gain, to(SLOTS, "gain")),
    "private slot": (lambda: SLOTS.private(), lambda request, patch: SLOTS.put(3.0)),
    "dataclass": (lambda: DATA.gain, to(DATA, "gain")),
    "dataclass, in a method": (lambda: DATA.double(), to(DATA, "gain")),
    "dataclass, as a dict": (lambda: dataclasses.asdict(DATA)["gain"], to(DATA, "gain")),
    "default of a dataclass": (lambda: Data().gain, to(Data.__init__, "__defaults__", (3.0,))),
    "namespace": (lambda: SPACE.gain, to(SPACE, "gain")),
    "__getattr__ of a class": (lambda: LAZY.gain, at(LAZY.numbers, "gain")),
    "__getattr__ of a module": (lambda: lazy_module.gain, at(lazy_module._numbers, "gain")),
    "descriptor": (lambda: Described().gain, to(Descriptor, "value")),
    "enum": (lambda: SELECTED.value, to(HERE, "SELECTED", Gains.HIGH)),
    "enum by a name": (lambda: Gains[KEY].value, to(HERE, "KEY", "HIGH")),
    "enum's own value": (lambda: Gains.LOW.value, to(Gains.LOW, "_value_")),
    "function attribute": (helper, to(helper, "gain")),
    "decorator's wrapper": (one, to(HERE, "GAIN")),
    "default": (defaulted, to(defaulted, "__defaults__", (3.0,))),
    "keyword default": (keyword, to(keyword, "__kwdefaults__", {"gain": 3.0})),
    "keyword default in place": (keyword, at(keyword.__kwdefaults__, "gain")),
    "code": (defaulted, to(defaulted, "__code__", (lambda gain: 3.0).__code__)),
    "partial": (lambda: PARTIAL(1.0), at(PARTIAL.keywords, "gain")),
    "bound method of a dict": ((lambda get: lambda: get("gain"))(DICT["a"].get), at(DICT["a"], "gain")),
    "bound method of an object": ((lambda scaled: lambda: scaled(1.0))(SCALE.scaled), to(SCALE, "by")),
    "module": (lambda: config.gain, to(config, "gain")),
    "submodule": (lambda: package.config.gain, to(config, "gain")),
    "submodule, replaced": (lambda: package.config.gain, to(package, "config", types.SimpleNamespace(gain=3.0))),
    "object in a submodule": (lambda: package.config.inner.gain, to(config.inner, "gain")),
    "import in the step": (imports, to(config, "gain")),
    "import of a module in the step": (imports_whole, to(config, "gain")),
    "globals()": (lambda: globals()["GAIN"], to(HERE, "GAIN")),
    "list": (lambda: LIST[0], at(LIST, 0)),
    "a longer list": (lambda: 1.0 * len(LIST), lambda request, patch: longer(request)),
    "nested dict": (lambda: DICT["a"]["gain"], at(DICT["a"], "gain")),
    "ordered dict": (lambda: ORDERED["gain"], at(ORDERED, "gain")),
    "mapping proxy": (lambda: PROXY["gain"], at(DICT["a"], "gain")),
    "chain of maps": (lambda: CHAIN["gain"], at(CHAIN.maps[1], "gain")),
    "UserDict": (lambda: USER["gain"], at(USER, "gain")),
    "deque": (lambda: DEQUE[0], at(DEQUE, 0)),
    "array": (lambda: ARRAY, at(ARRAY, 1)),
    "array of the standard library": (lambda: BYTES[0], at(BYTES, 0)),
    "named tuple": (lambda: PAIR.gain, to(HERE, "PAIR", Pair(3.0, 0))),
    "fraction": (lambda: float(FRACTION), to(HERE, "FRACTION", Fraction(3))),
    "built-in, hidden by a global": (lambda: abs(-2.0), to(HERE, "abs", lambda a: 3.0)),
}


@pytest.fixture
def packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "some_package", package)
    monkeypatch.setitem(sys.modules, "some_package.config", config)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("place", PLACES)
def test_a_changed_number_is_seen_wherever_it_sits(place, request, monkeypatch):
    gain, change = PLACES[place]
    is_seen(cell_of(gain), lambda: change(request, monkeypatch))


@pytest.mark.parametrize("place", ["class attribute", "dataclass", "array", "nested dict"])
def test_a_changed_number_reaches_the_gradient(place, request, monkeypatch):
    gain, change = PLACES[place]
    cell = cell_of(gain)
    loss = lambda engine: lambda c: np.sum(minirnn.scan(c, H, XS, engine=engine)[1] ** 2)
    before = minirnn.grad(loss("auto"))(cell)["w"]
    change(request, monkeypatch)
    assert onp.allclose(minirnn.grad(loss("auto"))(cell)["w"], minirnn.grad(loss("python"))(cell)["w"], rtol=1e-12)
    assert not onp.allclose(minirnn.grad(loss("auto"))(cell)["w"], before)
