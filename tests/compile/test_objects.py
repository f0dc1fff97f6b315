"""Object files on disk: found again, made anew where they are broken, and by several processes at once."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

from minirnn.compile.llvm import objects

TEXT = "define void @{name}(ptr %p) {{\n  store i64 {value}, ptr %p\n  ret void\n}}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path))
    return tmp_path


def result(name):
    out = np.zeros(1, np.int64)
    objects.function(name)(out.ctypes.data)
    return out[0]


def loaded(name, value, key=None):
    written = []

    def write():
        written.append(name)
        return TEXT.format(name=name, value=value)

    objects.load(key or name, write)
    return bool(written)


def test_a_file_is_made_once_and_found_by_what_its_text_follows_from(folder):
    assert loaded("kept_1", 3)
    assert result("kept_1") == 3
    assert not loaded("kept_1", 4)
    assert loaded("kept_2", 5, key="another")
    assert len(list(folder.glob("*.o"))) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_damaged_file_is_made_again(folder, caplog, damage):
    name = f"damaged_{len(caplog.records)}_{id(damage) % 1000}"
    loaded(name, 3)
    (path,) = folder.glob("*.o")
    path.write_bytes(damage(path.read_bytes()))
    assert loaded(name, 3)
    assert "is damaged, and is made again" in caplog.text
    assert not loaded(name, 3)


def test_another_ones_file_under_its_name_is_made_again(folder, caplog):
    loaded("first_one", 3)
    (first,) = folder.glob("*.o")
    loaded("second_one", 4)
    (second,) = set(folder.glob("*.o")) - {first}
    second.write_bytes(first.read_bytes())
    assert loaded("second_one", 4)
    assert result("second_one") == 4


def test_without_a_folder_to_write_to_code_is_in_memory_alone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path / "file"))
    assert loaded("homeless", 6)
    assert result("homeless") == 6


def test_two_processes_may_make_the_same_files_at_once(tmp_path):
    code = (
        "import numpy, minirnn; layer = minirnn.GRU(3, 4, rng=numpy.random.default_rng(0)); "
        "print(float(layer(numpy.ones((5, 2, 3), numpy.float32))[0].sum()))"
    )
    environment = {**os.environ, "MINIRNN_CACHE": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(printed) == 1
