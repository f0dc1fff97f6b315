import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import Vocabulary, read_text, standard_library
from minirnn.data.text import UNKNOWN


@given(st.text(), st.text())
def test_known_characters_come_back_and_others_as_unknown(known, more):
    vocabulary = Vocabulary(known)
    text = known + more
    expected = "".join([c if c in known else UNKNOWN for c in text])
    tokens = vocabulary.encode(text)
    assert vocabulary.decode(tokens) == expected
    assert tokens.shape == (len(text),)
    assert Vocabulary(vocabulary.characters) == vocabulary


def test_korean_syllables_are_one_character_each():
    vocabulary = Vocabulary("안녕하세요")
    assert len(vocabulary) == 6
    assert len(vocabulary.encode("하세요")) == 3


@pytest.mark.parametrize("token", [-1, 3])
def test_a_token_out_of_range_is_refused(token):
    with pytest.raises(ValueError, match=f"token {token} came, 0 to 2"):
        Vocabulary("ab").decode([token])


def test_a_vocabulary_is_of_single_characters():
    with pytest.raises(ValueError, match="'ab' came"):
        Vocabulary(["ab"])


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
