import json
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


def written(path, kind, values, shape, name="weight"):
    """A safetensors file of one array, by hand."""
    header = json.dumps({name: {"dtype": kind, "shape": shape, "data_offsets": [0, len(values)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + values)


VALUES = np.array([[1.0, -2.5, 0.15625], [3e38, 0.0, -0.0]], np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["BF16", "F16"])
def test_half_precision_is_widened_exactly(kind, dtype, tmp_path):
    if kind == "F16":
        expected = np.array([[1.0, -2.5, 0.1], [60000, 0.0, -0.0]], np.float16)
        content = expected.tobytes()
    else:
        content = (VALUES.view(np.uint32) >> 16).astype("<u2").tobytes()
        expected = (VALUES.view(np.uint32) & 0xFFFF0000).view(np.float32)
    written(tmp_path / "half", kind, content, [2, 3])
    model = minirnn.Linear(3, 2, bias=False, dtype=dtype)
    minirnn.load(model, tmp_path / "half")
    assert model.weight.dtype == dtype
    assert np.array_equal(model.weight, expected.astype(dtype))


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2"])
def test_a_dtype_that_numpy_has_not_is_named_and_not_called_damage(kind, tmp_path):
    written(tmp_path / "file", kind, bytes(6), [2, 3])
    with pytest.raises(ValueError, match=rf"dtypes that NumPy has not \(weight: {kind}\).*convert"):
        minirnn.load(minirnn.Linear(3, 2, bias=False), tmp_path / "file")


def test_another_full_precision_is_still_refused(tmp_path):
    minirnn.save(minirnn.Linear(3, 2, dtype=np.float64), tmp_path / "file")
    with pytest.raises(ValueError, match="float64"):
        minirnn.load(minirnn.Linear(3, 2), tmp_path / "file")


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_an_untied_file_in_a_tied_model_names_both(order, tmp_path):
    class Two(Module):
        def __init__(self):
            self.a, self.b = Parameter([1.0]), Parameter([2.0])

    minirnn.save(Two(), tmp_path / "file")
    tied = Two()
    minirnn.tie(tied, *order)
    before = tied.state_dict()
    with pytest.raises(ValueError, match=r"(a: .* came for b|b: .* came for a); here the two are tied"):
        minirnn.load(tied, tmp_path / "file")
    assert tied.state_dict() == before
