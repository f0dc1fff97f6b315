"""Weights in a second file: beside the model, never outside its folder."""

import os

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_cases import XS, tagger  # noqa: E402
from onnx_nodes import one_node  # noqa: E402

from minirnn.interop.onnx import from_onnx  # noqa: E402


def stored_outside(path, **options):
    """The file's weights in another one, `weights.bin`."""
    proto = onnx.load(path)
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0, location="weights.bin", **options)
    return path.with_name("weights.bin")


def said(path, **changes):
    """What the file says of its first weight's place, changed."""
    proto = onnx.load(path, load_external_data=False)
    tensor = proto.graph.initializer[0]
    kept = {one.key: one.value for one in tensor.external_data} | changes
    del tensor.external_data[:]
    for key, value in kept.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


def test_weights_beside_the_model_are_found_from_any_folder(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    model = tagger(tmp_path / "one" / "m.onnx")
    stored_outside(tmp_path / "one" / "m.onnx")
    tagger(tmp_path / "other" / "m.onnx", rng=1)
    stored_outside(tmp_path / "other" / "m.onnx")
    monkeypatch.chdir(tmp_path / "other")  # where another model's weights lie
    for path in ("../one/m.onnx", tmp_path / "one" / "m.onnx"):
        np.testing.assert_allclose(from_onnx(path)(XS)[0], model(XS)[0], atol=1e-6)
    monkeypatch.chdir(tmp_path / "one")
    np.testing.assert_allclose(from_onnx("m.onnx")(XS)[0], model(XS)[0], atol=1e-6)


@pytest.mark.parametrize("options", [{"all_tensors_to_one_file": False}, {"convert_attribute": True}])
def test_each_array_may_have_a_file_and_nodes_too(options, tmp_path):
    y = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.arange(3, dtype=np.float32), "c"))
    graph = helper.make_graph(
        [y, helper.make_node("Add", ["x", "c"], ["y"]), helper.make_node("Mul", ["y", "w"], ["z"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [3])],
        [numpy_helper.from_array(np.array([2, 3, 4], np.float32), "w")],
    )
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, **options)
    assert from_onnx(tmp_path / "m.onnx")(np.ones(3, np.float32)).tolist() == [2, 6, 12]


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "bool", "int64"])
def test_offset_and_length_may_be_left_out(dtype, tmp_path):
    weight = (np.arange(3) * 2).astype(dtype)
    proto = one_node("Expand", 13, {"w": weight, "n": np.array([2, 3])}, {}, weights={"w"})
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    said(tmp_path / "m.onnx", offset=None, length=None)
    (tmp_path / "w.bin").write_bytes(weight.tobytes() + b"more")
    came = from_onnx(tmp_path / "m.onnx")(np.array([2, 3]))
    assert came.dtype == weight.dtype
    assert np.array_equal(came, [weight, weight])


@pytest.mark.parametrize(
    "location", ["../weights.bin", "{outside}", "{inside}", "sub/../../weights.bin", "link.bin", "sub/w.bin", ""]
)
def test_nothing_is_read_outside_the_models_folder(location, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "real").mkdir()
    tagger(folder / "m.onnx")
    weights = stored_outside(folder / "m.onnx")
    outside = weights.rename(tmp_path / "weights.bin")
    os.symlink(outside, folder / "link.bin")
    os.symlink(tmp_path, folder / "sub")
    outside.rename(tmp_path / "w.bin")
    (tmp_path / "weights.bin").write_bytes((tmp_path / "w.bin").read_bytes())
    said(folder / "m.onnx", location=location.format(outside=tmp_path / "weights.bin", inside=folder / "m.onnx"))
    with pytest.raises(ValueError, match="expected a file in the model's folder, got"):
        from_onnx(folder / "m.onnx")


@pytest.mark.parametrize("link", [False, True])
def test_below_the_folder_is_inside(link, tmp_path):
    model = tagger(tmp_path / "m.onnx")
    weights = stored_outside(tmp_path / "m.onnx")
    (tmp_path / "data").mkdir()
    weights.rename(tmp_path / "data" / "w.bin")
    if link:
        os.symlink(tmp_path / "data" / "w.bin", weights)
    else:
        proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
        for tensor in proto.graph.initializer:
            next(one for one in tensor.external_data if one.key == "location").value = "data/../data/w.bin"
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    np.testing.assert_allclose(from_onnx(tmp_path / "m.onnx")(XS)[0], model(XS)[0], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"location": "none.bin"}, r"none\.bin is not there; it belongs beside the model"),
        ({"location": "."}, "expected a file, got"),
        ({"location": "a\0b"}, "expected a file in the model's folder"),
        ({"offset": "999999"}, r"expected \d+ bytes at offset 999999 of .*, got 0; the file is too short"),
        ({"offset": "-4"}, "at offset -4"),
        ({"offset": "x"}, "expected integers as offset and length"),
        ({"length": "4"}, r"expected \d+ bytes for its shape \[.*\], got length 4"),
        ({"length": "-1"}, "got length -1"),
        ({"length": "99999"}, "got length 99999"),
    ],
)
def test_a_weight_that_is_not_there_is_named(changes, says, tmp_path):
    tagger(tmp_path / "m.onnx")
    stored_outside(tmp_path / "m.onnx")
    said(tmp_path / "m.onnx", **changes)
    name = onnx.load(tmp_path / "m.onnx", load_external_data=False).graph.initializer[0].name
    kind = FileNotFoundError if "none" in says else ValueError
    with pytest.raises(kind, match=rf"m\.onnx: the array {name}: .*{says}"):
        from_onnx(tmp_path / "m.onnx")


def test_a_short_file_is_told(tmp_path):
    tagger(tmp_path / "m.onnx")
    weights = stored_outside(tmp_path / "m.onnx")
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(ValueError, match="the file is too short"):
        from_onnx(tmp_path / "m.onnx")
