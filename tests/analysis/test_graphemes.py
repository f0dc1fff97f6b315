import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.analysis.graphemes import _kind, graphemes

CASES = {
    "abc": ["a", "b", "c"],
    "한글": ["한", "글"],
    "\u1112\u1161\u11ab\u1100\u1173\u11af": ["\u1112\u1161\u11ab", "\u1100\u1173\u11af"],  # 한글 in jamo
    "\uac00\u11a8x": ["\uac00\u11a8", "x"],  # a syllable and a final consonant
    "\u11a8\u1100": ["\u11a8", "\u1100"],
    "e\u0301\u0323a": ["e\u0301\u0323", "a"],
    "कि": ["कि"],
    "\r\n\n\r": ["\r\n", "\n", "\r"],
    "\n\u0301": ["\n", "\u0301"],
    "🇰🇷🇯🇵🇰": ["🇰🇷", "🇯🇵", "🇰"],
    "👩‍👩‍👧x": ["👩‍👩‍👧", "x"],
    "👍🏽👍": ["👍🏽", "👍"],
    "a\u200d👩": ["a\u200d", "👩"],  # joined to nothing pictographic
    "❤️‍🔥": ["❤️‍🔥"],
    "": [],
}


@pytest.mark.parametrize("text", CASES)
def test_a_cluster_is_what_a_reader_sees_as_one(text):
    assert graphemes(text) == CASES[text]


@given(st.text())
def test_joined_they_are_the_text_and_none_is_empty(text):
    clusters = graphemes(text)
    assert "".join(clusters) == text
    assert all(clusters)


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0x00, 0x1F, "control"), (0x7F, 0x9F, "control"), (0xAD, 0xAD, "control"),
        (0x1100, 0x115F, "L"), (0x1160, 0x11A7, "V"), (0x11A8, 0x11FF, "T"),
        (0xA960, 0xA97C, "L"), (0xD7B0, 0xD7C6, "V"), (0xD7CB, 0xD7FB, "T"),
        (0xAC01, 0xAC1B, "LVT"), (0xAC1C, 0xAC1C, "LV"), (0xAC00, 0xAC00, "LV"), (0xD789, 0xD7A3, "LVT"),
        (0x1F1E6, 0x1F1FF, "flag"),
        (0x1F3FB, 0x1F3FF, "extend"), (0xE0020, 0xE007F, "extend"), (0xFF9E, 0xFF9F, "extend"),
        (0x2190, 0x21FF, "pictograph"), (0x2300, 0x23FF, "pictograph"), (0x2460, 0x27BF, "pictograph"),
        (0x2900, 0x297F, "pictograph"), (0x2B00, 0x2BFF, "pictograph"), (0x1F000, 0x1F1E5, "pictograph"),
        (0x1F200, 0x1F3FA, "pictograph"), (0x1F400, 0x1FAFF, "pictograph"),
    ],
)  # fmt: skip
def test_blocks_of_characters_begin_and_end_where_unicode_says(first, last, kind):
    assert {_kind(chr(code)) for code in range(first, last + 1)} == {kind}
    assert not first or _kind(chr(first - 1)) != kind
    assert _kind(chr(last + 1)) != kind
