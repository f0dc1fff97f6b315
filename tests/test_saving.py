import os
import stat

import numpy as np
import pytest

import minirnn
from minirnn import Buffer, Module, Parameter


class Mixed(Module):
    def __init__(self):
        self.a = Parameter(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
        self.b = Parameter([1.5])
        self.scalar = Buffer(np.array(3.0, np.float16))
        self.mask = Buffer(np.array([True, False]))
        self.empty = Buffer(np.zeros((0, 2), np.int64))


def test_save_and_load_is_a_round_trip(tmp_path):
    model, other = Mixed().freeze("b"), Mixed()
    minirnn.save(model, tmp_path / "model.safetensors")
    for value in other.state_dict():
        getattr(other, value)[...] = 0
    minirnn.load(other, str(tmp_path / "model.safetensors"))
    assert all(np.array_equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert all(value.dtype == other.state_dict()[name].dtype for name, value in model.state_dict().items())


def test_saving_replaces_a_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("older")
    minirnn.save(Mixed(), path)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert minirnn.load(Mixed(), path) == ([], [])
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_dtype_that_the_format_does_not_know_is_refused_and_the_file_stays(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("older")
    model = Mixed()
    model.name = Buffer(np.array(["text"]))
    with pytest.raises(TypeError, match="<U4"):
        minirnn.save(model, path)
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-3])


def another_file(path):
    path.write_text("not weights\n" * 10)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, another_file, emptied])
def test_a_damaged_file_is_an_error_that_changes_nothing(damage, tmp_path):
    path, model = tmp_path / "model.safetensors", Mixed()
    minirnn.save(model, path)
    damage(path)
    before = model.state_dict()
    with pytest.raises(ValueError, match="no safetensors file, or is damaged"):
        minirnn.load(model, path)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_another_models_file_names_what_differs(tmp_path):
    minirnn.save(minirnn.Linear(2, 3), tmp_path / "linear.safetensors")
    with pytest.raises(ValueError, match=r"(?s)linear.safetensors.*a: missing.*weight: unexpected"):
        minirnn.load(Mixed(), tmp_path / "linear.safetensors")
    passed = minirnn.load(minirnn.Linear(2, 3, bias=False), tmp_path / "linear.safetensors", strict=False)
    assert passed.unexpected == ["bias"]


def test_a_missing_file_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        minirnn.load(Mixed(), tmp_path / "nothing.safetensors")
