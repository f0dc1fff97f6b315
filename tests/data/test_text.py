import pytest

from minirnn.data import read_lines, read_text, standard_library


def test_a_file_is_read_with_newlines_of_one_kind(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    corpus = read_text(tmp_path / "text")
    assert corpus == ("one\ntwo\nthree\n", str(tmp_path / "text"), 1, 0)


def test_a_folder_is_its_text_files_in_order_of_path(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.txt").write_text("first ")
    (tmp_path / "b" / "c.txt").write_text("second")
    (tmp_path / "b" / "image.png").write_bytes(b"\x89PNG\0")
    (tmp_path / ".hidden" / "d.txt").write_text("never")
    assert read_text(tmp_path) == ("first second", str(tmp_path), 2, 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the text is empty"),
        (b" \n ", "the text is empty"),
        (b"abc\xff", "byte 0xff at offset 3 is not UTF-8"),
        (b"ab\0c", "NUL byte at offset 2"),
    ],
)
def test_what_is_no_text_is_refused(content, says, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_text(tmp_path / "file")


def test_a_folder_without_text_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"no UTF-8 text \(0 other files\)"):
        read_text(tmp_path)


def test_the_standard_library_is_python():
    corpus = standard_library()
    assert corpus.files > 100
    assert "def " in corpus.text


def test_lines_end_at_newlines_alone_and_blank_ones_are_left_out(tmp_path):
    (tmp_path / "names").write_bytes("anna\r\n\n  \nb\u2028o\n".encode())
    assert read_lines(tmp_path / "names") == ["anna", "b\u2028o"]
    (tmp_path / "names").write_text("\n \n")
    with pytest.raises(ValueError, match="no lines but blank ones"):
        read_lines(tmp_path / "names")
