import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn import analysis


def shown(values):
    return "".join(str(int(value)) for value in values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a "bc" d', "00111000"),
        ("「나는」 x", "111000"),
        ("“a ‘b’ c” d", "11111111000"),
        ('"a\n\nb "c"', "111000110"),  # left open: closed by the empty line
        ("it's", "0000"),
    ],
)
def test_inside_quotes(text, expected):
    assert shown(analysis.inside_quotes(text)) == expected


def test_line_position_and_indentation_and_brackets():
    assert shown(analysis.line_position("ab\nc\n\nd")) == "1201001"
    assert list(analysis.indentation("  ab \n c\n")) == [1, 2, 2, 2, 2, 0, 1, 1, 0]
    assert list(analysis.indentation(" \tx y")) == [1, 8, 8, 8, 8]
    assert list(analysis.open_brackets("f(a[1])) (")) == [0, 1, 1, 2, 2, 1, 0, 0, 0, 1]


def test_occurrences_may_overlap_and_may_be_none():
    assert shown(analysis.occurrences("aaba", "aa")) == "1100"
    assert shown(analysis.occurrences("aaa", "aa")) == "111"
    assert shown(analysis.occurrences("나는 나", "나")) == "1001"
    assert not analysis.occurrences("abc", "x").any()
    with pytest.raises(ValueError, match="empty"):
        analysis.occurrences("abc", "")


@given(st.text(alphabet='ab"( )[]\n\t‘’', max_size=30), st.text(max_size=5))
def test_a_property_is_what_is_known_so_far(text, more):
    for of in analysis.PROPERTIES.values():
        values = of(text + more)
        assert values.shape == (len(text + more),)
        assert (values[: len(text)] == of(text)).all()
        assert (values >= 0).all()
