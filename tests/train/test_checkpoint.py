"""The file: what goes in comes out, and nothing that is not whole gets in."""

import contextlib
import copy
import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from points import without_times

from minirnn.train import CheckpointError, read_checkpoint, write_checkpoint
from minirnn.train.checkpoint import _digest

STATE = {
    "step": 3,
    "none": None,
    "words": ["한글", True, 0.1, 2**127],
    "model": {"a.b": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4))},
    "model.a": {"b": np.float64(7), "flag": np.array([True, False]), "fortran": np.asfortranarray(np.eye(3)[:, :2])},
}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "c.safetensors"
    write_checkpoint(path, STATE)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    return path


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
leaves = leaves | st.floats(allow_nan=False, allow_infinity=False)
arrays = st.sampled_from([np.zeros(2, np.float32), np.ones((2, 0, 3)), np.array(5), np.arange(4, dtype=np.uint64)])
keys = st.text("ab.'한\0", max_size=4)


nestings = st.recursive(
    leaves | arrays,
    lambda s: st.lists(s, max_size=3) | st.dictionaries(keys, s, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(keys, nestings, max_size=4))
def test_any_state_is_a_round_trip(tmp_path_factory, state):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    write_checkpoint(path, state)
    assert without_times(read_checkpoint(path)) == without_times(state)


def test_the_file_is_a_safetensors_file(path):
    from safetensors.numpy import load_file

    read = read_checkpoint(path)
    assert without_times(read) == without_times(STATE | {"model.a": STATE["model.a"] | {"b": np.array(7.0)}})
    assert np.array_equal(load_file(path)["model.a.b"], STATE["model"]["a.b"])


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        ({"a": {"b": float("nan")}}, ValueError, "cannot hold nan at a.b"),
        ({"a": object()}, TypeError, "cannot hold the object at a"),
        ({1: 2}, TypeError, "the key 1"),
        ({"a": {"$array": "x"}}, TypeError, r"the key '\$array' at a"),
        ({"a": np.array(["text"])}, TypeError, "dtype"),
    ],
)
def test_what_cannot_be_written_is_named_and_leaves_the_old_file(path, content, state, error, says):
    with pytest.raises(error, match=says):
        write_checkpoint(path, state)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


# ---------------------------------------------------------------- damage
def refused(path, content):
    """The one line about a file with this content."""
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("share", [0, 0.0001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(path, content, share):
    assert "no safetensors file" in refused(path, content[: int(share * len(content))])


def test_a_file_of_another_kind_is_refused(path, tmp_path):
    from safetensors.numpy import save

    assert "its format is None" in refused(path, save({"a": np.zeros(2)}))
    assert "no safetensors file" in refused(path, b"PK\x03\x04" + bytes(100))


def test_every_flipped_bit_is_noticed(path, content):
    rng = np.random.default_rng(0)
    for place in {*range(0, 8), *rng.integers(0, len(content), 150).tolist(), len(content) - 1}:
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        refused(path, bytes(flipped))


def test_no_file_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "missing")


# ---------------------------------------------------------------- hostile files, with checksums that fit
def split(content):
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def joined(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def described(header, text):
    """The header with another description, and the checksum that belongs to it."""
    header["__metadata__"] |= {"checkpoint": text, "checksum": _digest(text.encode())}
    return header


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: [], "version 'list' came"),
        (lambda body: {**body, "version": 2}, "version 2 came, 1 was expected"),
        (lambda body: {**body, "state": 3}, "no state"),
        (lambda body: {**body, "checksums": {}}, "not in both"),
        (lambda body: {**body, "state": {"a": {"$array": "../../etc/passwd"}}}, "not there, or twice"),
        (lambda body: {**body, "state": {"a": {"$array": ["x"]}}}, "not there, or twice"),
        (lambda body: {**body, "state": {"a": [body["state"]["model"]] * 2}}, "not there, or twice"),
        (lambda body: {**body, "state": {}}, "no place in the state"),
        (lambda body: {**body, "state": {"lr": 1e999}}, "Infinity is no finite number"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(path, content, change, says):
    header, data = split(content)
    body = json.loads(header["__metadata__"]["checkpoint"])
    assert says in refused(path, joined(described(header, json.dumps(change(body))), data))


@pytest.mark.parametrize(("field", "value"), [("shape", [3, 2]), ("shape", [6]), ("dtype", "I32")])
def test_a_shape_and_a_dtype_are_within_the_checksum(path, content, field, value):
    """The bytes are the same."""
    header, data = split(content)
    header["model.a.b"][field] = value
    assert "array 'model.a.b' does not have its checksum" in refused(path, joined(header, data))


def test_a_file_and_then_its_folder_are_flushed_to_the_disk(path, monkeypatch):
    """A rename is there after a power cut only once its folder is on the disk."""
    done, fsync, replace = [], os.fsync, os.replace
    flushed = lambda handle: done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed(handle), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("renamed"), replace(*paths)))
    write_checkpoint(path, STATE)
    assert done == ["file", "renamed", "folder"]


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, '{"version": 1e999}', "9" * 10_000])
def test_json_that_is_deep_or_endless_is_refused(path, content, text):
    header, data = split(content)
    refused(path, joined(described(header, text), data))


def test_a_state_too_deep_is_refused(path, content):
    header, data = split(content)
    body = json.loads(header["__metadata__"]["checkpoint"])
    for _ in range(60):
        body["state"] = {"a": body["state"]}
    assert "deeper than 50" in refused(path, joined(described(header, json.dumps(body)), data))


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**40, 2**63, 2**64 - 1])
def test_a_header_that_claims_to_be_huge_costs_nothing(path, content, size):
    refused(path, size.to_bytes(8, "little") + content[8:])


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("F64")
values = values | st.lists(st.integers(-(2**70), 2**70), max_size=3)


@given(st.data())
def test_a_changed_header_is_refused_or_changes_nothing(tmp_path_factory, content, data):
    path = tmp_path_factory.getbasetemp() / "header.safetensors"
    header, rest = split(content)
    before = copy.deepcopy(header)
    name = data.draw(st.sampled_from(sorted(header)))
    field = data.draw(st.sampled_from([*sorted(header[name]), "other"]))
    header[name][field] = data.draw(values)
    path.write_bytes(joined(header, rest + data.draw(st.binary(max_size=4))))
    with contextlib.suppress(CheckpointError):
        read = read_checkpoint(path)
        assert header["__metadata__"]["checkpoint"] == before["__metadata__"]["checkpoint"]
        assert set(read) == set(STATE)


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1) | st.integers(0, 200))
def test_any_bytes_are_refused(tmp_path_factory, rest, size):
    path = tmp_path_factory.getbasetemp() / "bytes.safetensors"
    refused(path, size.to_bytes(8, "little") + rest)
