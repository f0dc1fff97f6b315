import os
import threading

import pytest

from minirnn.data import Corpus, TextError, open_text, read_lines, read_text, standard_library


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
    assert read_text(tmp_path) == ("first \nsecond", str(tmp_path), 2, 1)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a": "one\n", "b": "two"}, "one\ntwo"),
        ({"a": "one", "b": "two", "c": "three\n"}, "one\ntwo\nthree\n"),
        ({"a": "one", "b": "", "c": "three"}, "one\nthree"),
        ({"a": "", "b": "two"}, "two"),
        ({"a": "one", "b": "\0", "c": "three"}, "one\nthree"),
        ({"a": "one", "b": "\r\n", "c": "three"}, "one\n\nthree"),
        ({"a": "one", "b": " "}, "one\n "),
        ({"a": " ", "b": "one"}, " \none"),
    ],
)
def test_the_files_of_a_folder_are_not_glued_together(files, text, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(content, newline="")
    assert read_text(tmp_path).text == text
    opened = open_text(tmp_path)
    assert (opened.text, opened.characters) == (text, len(text))


def test_any_part_of_a_text_can_be_read_again(tmp_path):
    for name, content in {"a": "añb", "b": "", "c": "x\r\ny", "d": "한글\n", "e": "end"}.items():
        (tmp_path / name).write_text(content, newline="")
    opened, whole = open_text(tmp_path), read_text(tmp_path)
    for start in range(whole.characters + 2):
        for stop in [*range(whole.characters + 2), None]:
            assert "".join(opened.pieces(start, stop)) == "".join(whole.pieces(start, stop)) == whole.text[start:stop]
    (tmp_path / "c").write_text("x")
    with pytest.raises(TextError, match=r"c: the file changed while it was read: it had 4 characters, 1 came"):
        opened.text  # noqa: B018


def test_a_pipe_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("from a pipe"))
    writer.start()
    assert open_text(tmp_path / "pipe") == Corpus("from a pipe", str(tmp_path / "pipe"), 1, 0)
    writer.join()


def test_a_pipe_that_says_nothing_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(" \n"))
    writer.start()
    with pytest.raises(TextError, match="pipe: the text is empty"):
        read_text(tmp_path / "pipe")
    writer.join()


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
    for read in (read_text, open_text):
        with pytest.raises(ValueError, match=says):
            read(tmp_path / "file")


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
