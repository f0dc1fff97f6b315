import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import read_pieces


@given(text=st.text(st.sampled_from("a\r\n\ufeffé한😀")), piece_bytes=st.integers(1, 5))
def test_pieces_joined_are_the_text(tmp_path_factory, text, piece_bytes):
    path = tmp_path_factory.mktemp("text") / "t"
    path.write_bytes(text.encode("utf-8-sig"))
    assert "".join(read_pieces(path, piece_bytes)) == text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbfabc\xffdef", "byte 0xff at offset 6 is not UTF-8"),
        ("é한".encode()[:-1], "byte 0xed at offset 2 is not UTF-8"),
        (b"abcd\0e", "NUL byte at offset 4"),
        ("text".encode("utf-16"), "UTF-16 text came, UTF-8 expected; convert it: iconv -f UTF-16 -t UTF-8"),
        ("한글".encode("utf-16"), "UTF-16 text came"),
        ("text".encode("utf-32"), "UTF-32 text came"),
        (b"\xfe\xff" + "text".encode("utf-16-be"), "UTF-16 text came"),
        ("text é".encode("utf-16-le"), "UTF-16LE text came"),
        ("text é".encode("utf-16-be"), "UTF-16BE text came"),
        (b"\0\0\0\0", "NUL byte at offset 0"),
        (b"\0\1" * 9, "a binary file came"),
        (b"a\0b\0", "NUL byte at offset 1"),
    ],
)
def test_the_offset_of_what_is_no_text_is_told_whatever_the_pieces(tmp_path, content, says, piece_bytes):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        list(read_pieces(tmp_path / "t", piece_bytes))
