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
