"""Object files on disk: found again, made anew where they are broken, and by several processes at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

from minirnn.compile.llvm import objects

TEXT = "define void @{name}(ptr %p) {{\n  store i64 {value}, ptr %p\n  ret void\n}}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("version", "reason"), [((20, 1, 8), None), ((16, 0, 0), None), ((15, 0, 7), "has 15.0.7; pip")]
)
def test_an_llvm_of_typed_pointers_is_no_native_code_and_says_why(version, reason, monkeypatch):
    monkeypatch.setattr("llvmlite.binding.llvm_version_info", version)
    found = objects.available.__wrapped__()
    assert found is None if reason is None else reason in found


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


@pytest.mark.slow
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


FAR = """
import ctypes
import numpy as np
from minirnn.compile.llvm import objects

libc, a, size, i = ctypes.CDLL(None), ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
libc.mmap.restype, libc.mmap.argtypes, libc.munmap.argtypes = a, [a, size, i, i, i, ctypes.c_long], [a, size]
reserve = lambda size: libc.mmap(None, size, 0, 0x4022, -1, 0)  # private, anonymous, and of no memory

added = "".join(f"  %x{k + 1} = call double @log1p(double %y{k})\\n  %y{k + 1} = fadd double %x{k + 1}, {k + 0.5}\\n"
                for k in range(300))
for k in range(6):
    objects.load(f"far_{k}", lambda: f"declare double @log1p(double)\\ndefine void @far_{k}(ptr %p) {{\\n"
        f"  %y0 = load double, ptr %p\\n{added}  store double %y300, ptr %p\\n  ret void\\n}}\\n")
    out, expected = np.array([k + 0.25]), np.float64(k + 0.25)
    for n in range(300):
        expected = np.log1p(expected) + (n + 0.5)
    objects.function(f"far_{k}")(out.ctypes.data)
    np.testing.assert_allclose(out[0], expected, rtol=1e-12)
    for _ in range(2000):  # the gaps that are left, and then all but a page of what 32 bits reach
        reserve(1 << 13)
    libc.munmap(reserve(4 << 30) + (4 << 30) - 4096, 4096)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="takes the address space by Linux's mmap")
def test_code_is_loaded_however_far_its_constants_and_what_it_calls_lie(folder):
    environment = {**os.environ, "MINIRNN_CACHE": str(folder)}
    done = subprocess.run([sys.executable, "-c", FAR], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "home/.cache/minirnn"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/minirnn"),
        ("darwin", {"XDG_CACHE_HOME": "xdg"}, "home/Library/Caches/minirnn"),
        ("win32", {}, "home/AppData/Local/minirnn/cache"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/minirnn/cache"),
        ("darwin", {"MINIRNN_CACHE": "mine"}, "mine"),
    ],
)
def test_object_files_are_kept_where_the_system_keeps_what_may_be_deleted(platform, environment, expected, monkeypatch):
    for name in ("MINIRNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects.sys, "platform", platform)
    monkeypatch.setattr(objects.Path, "home", lambda: Path("home"))
    assert objects.folder() == Path(expected)
