"""A cell beside its twins: what is refused, and what is found."""

import pytest
import speed_cells

import minirnn
from minirnn.speed import Pass, compare, comparison, timing
from minirnn.speed.first_use import engine_of, seconds_of_compilation

SIZES = [(2, 3, 4, 5)]


def local_twin():
    return lambda p, s, x: (s, x)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sizes": [(1, 2, 3)]}, r"size \(1, 2, 3\) came, positive integers \(B, T, I, H\) were expected"),
        ({"sizes": [(0, 2, 3, 4)]}, r"size \(0, 2, 3, 4\) came"),
        ({"dtype": "float16"}, "dtype='float16' came, one of float32, float64 was expected"),
        ({"modes": ("backward",)}, "some of train, forward were expected"),
        ({"threads": 0}, "threads=0 came, a positive integer was expected"),
        ({"twins": {"keras": local_twin}}, "a twin for 'keras' came, one of torch, jax was expected"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_timed(given, says):
    with pytest.raises(ValueError, match=says):
        compare(speed_cells.summing, **given)


def test_a_library_that_is_not_there_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setattr(comparison, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"jax is not installed: pip install 'minirnn\[peers\]'"):
        compare(speed_cells.summing, twins={"jax": speed_cells.summing_jax})


def test_a_twin_that_no_other_process_can_import_is_refused():
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    with pytest.raises(ValueError, match=r"cannot be sent .* define it at the top level of a module"):
        compare(speed_cells.summing, twins={"jax": local_twin()})


def test_no_cell_is_refused_and_a_cells_own_size_is_kept():
    with pytest.raises(TypeError, match="function came, a Cell or a Cell class was expected"):
        compare(local_twin)
    with pytest.raises(ValueError, match=r"this cell is \(I, H\) = \(2, 7\)"):
        compare(minirnn.LSTMCell(2, 7), sizes=SIZES)


@pytest.mark.parametrize(
    ("twin", "says"),
    [
        ("forgetful_jax", "forgetful_jax, the jax twin, is another cell, and its time says nothing: outputs differs"),
        ("failing_jax", "failing_jax, the jax twin, fails: KeyError: 'no such array'"),
    ],
)
def test_a_twin_that_is_another_cell_is_not_timed(twin, says):
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    with pytest.raises(ValueError, match=says):
        compare(speed_cells.summing, twins={"jax": getattr(speed_cells, twin)}, sizes=SIZES)


def test_the_engine_is_named_and_why_it_is_no_faster_one():
    what = Pass(SIZES[0], "forward")
    assert engine_of(minirnn.LSTMCell, what) == ("compiled", "")
    assert engine_of(speed_cells.summing, what) == ("compiled", "")
    engine, reason = engine_of(speed_cells.branching, what)
    assert engine == "python"
    assert "speed_cells.py" in reason


def test_compilation_takes_time_and_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path))
    found = seconds_of_compilation(speed_cells.summing, Pass((2, 3, 6, 7)))
    assert found["numpy"] > 0
    assert found["native"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cell_beside_its_twin(monkeypatch):
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    monkeypatch.setattr(timing, "SETTLE", 0.0)
    speed = compare(speed_cells.summing, twins={"jax": speed_cells.summing_jax}, sizes=SIZES, seconds=0.0, rounds=1)
    assert speed.engine == "compiled"
    assert speed.differences["jax"] < 1e-5
    assert [row.mode for row in speed.rows] == ["train", "forward"]
    assert set(speed.rows[0].seconds) == {"minirnn", "NumPy alone", "python engine", "jax"}
    assert speed.rows[0].floor > 0
    assert "jax: the same outputs and gradients" in str(speed)
