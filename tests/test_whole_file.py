import os

import pytest

from minirnn.whole_file import whole_file


def test_a_file_that_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "t").write_text("before")
    with pytest.raises(TypeError), whole_file(tmp_path / "t") as file:
        file.writelines([b"half", "no bytes"])
    assert os.listdir(tmp_path) == ["t"]
    assert (tmp_path / "t").read_text() == "before"
    with whole_file(tmp_path / "t") as file:
        file.write(b"after")
    assert os.listdir(tmp_path) == ["t"]
    assert (tmp_path / "t").read_text() == "after"


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
def test_a_file_is_on_the_disk_before_it_takes_its_name_and_its_folder_afterwards(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def flushed(handle):
        found = os.fstat(handle)
        done.append("folder" if found.st_ino == os.stat(tmp_path).st_ino else found.st_size)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("name"), replace(*names)))
    with whole_file(tmp_path / "t") as file:
        file.write(b"12345")
    assert done == [5, "name", "folder"]
