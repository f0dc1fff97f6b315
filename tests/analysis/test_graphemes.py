import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.analysis.graphemes import graphemes

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
