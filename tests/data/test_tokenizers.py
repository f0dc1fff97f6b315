import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import TOKENIZERS, UNKNOWN, ByteTokenizer, Vocabulary, WordTokenizer, load_tokenizer
from minirnn.data import tokenizer_from_dict as from_dict
from minirnn.data.tokenizers.words import LONGEST_WORD, split_words, split_words_of_pieces

KINDS = pytest.mark.parametrize("kind", TOKENIZERS)
texts = st.text(st.sampled_from("ab1_é한글 \n.'\u0301😀") | st.characters(exclude_categories=["Cs"]))


@KINDS
@given(text=texts)
def test_a_text_that_is_known_comes_back(kind, text):
    tokenizer = TOKENIZERS[kind].from_text(text)
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int64
    assert ((tokens >= 0) & (tokens < len(tokenizer))).all()
    assert tokenizer.decode(tokens) == "".join(tokenizer.decode_each(tokens)) == text


@KINDS
@given(pieces=st.lists(texts))
def test_pieces_give_the_tokens_of_the_whole(kind, pieces):
    text = "".join(pieces)
    tokenizer = TOKENIZERS[kind].from_text(pieces)
    assert tokenizer == TOKENIZERS[kind].from_text(text)
    assert np.concatenate([[], *tokenizer.encode_pieces(pieces)]).tolist() == tokenizer.encode(text).tolist()


@KINDS
@given(text=texts)
def test_json_gives_the_same_tokenizer(kind, text):
    tokenizer = TOKENIZERS[kind].from_text(text)
    assert from_dict(json.loads(json.dumps(tokenizer.to_dict()))) == tokenizer
    assert tokenizer != Vocabulary("other")


@KINDS
def test_a_saved_tokenizer_is_loaded(tmp_path, kind):
    tokenizer = TOKENIZERS[kind].from_text("some text 한글")
    tokenizer.save(tmp_path / "t.json")
    assert load_tokenizer(tmp_path / "t.json") == type(tokenizer).load(tmp_path / "t.json") == tokenizer


def test_a_saved_vocabulary_can_be_read_by_a_person(tmp_path):
    Vocabulary.from_text("한글é").save(tmp_path / "t.json")
    assert "é글한" in (tmp_path / "t.json").read_text(encoding="utf-8")


@given(st.text(), st.text())
def test_known_characters_come_back_and_others_as_unknown(known, more):
    vocabulary = Vocabulary(known)
    text = known + more
    assert vocabulary.decode(vocabulary.encode(text)) == "".join([c if c in known else UNKNOWN for c in text])
    assert vocabulary.encode(text).shape == (len(text),)
    assert Vocabulary(vocabulary.characters) == vocabulary


def test_korean_syllables_are_one_character_and_three_bytes_each():
    vocabulary = Vocabulary("안녕하세요")
    assert len(vocabulary) == 6
    assert len(vocabulary.encode("하세요")) == 3
    assert len(ByteTokenizer().encode("하세요")) == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 9 am.", ["It", "'", "s", " ", "9", " ", "am", "."]),
        ("snake_case\n  x", ["snake", "_", "case", "\n", " ", " ", "x"]),
        ("안녕 été", ["안녕", " ", "été"]),
        ("a" * (LONGEST_WORD + 2), ["a" * LONGEST_WORD, "aa"]),
    ],
)
def test_words_are_runs_of_letters_and_digits_and_everything_else_by_itself(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    "words",
    [
        ["नमस्ते", " ", "हिन्दी", "।"],  # vowel signs and viramas
        ["தமிழ்", " ", "மொழி"],
        ["ภาษาไทย", " ", "ที่"],
        ["مُحَمَّد", "،", "سَلام"],  # points above and below
        ["שָׁלוֹם", " ", "עולם"],
        ["cafe\u0301", ",", "e\u0301te\u0301"],  # decomposed accents
        ["می\u200cخواهم", " ", "क्\u200dष"],  # joiners
        ["ខ្មែរ", " ", "မြန်မာ"],
    ],
)
def test_marks_belong_to_the_letter_that_they_combine_with(words):
    assert split_words("".join(words)) == words
    for cut in range(len("".join(words))):
        pieces = ["".join(words)[:cut], "".join(words)[cut:]]
        assert list(itertools.chain.from_iterable(split_words_of_pieces(pieces))) == words


def test_a_mark_without_a_letter_is_by_itself():
    assert split_words(" \u0301a\u0301!\u0301") == [" ", "\u0301", "a\u0301", "!", "\u0301"]
    long = "क" + "ि" * LONGEST_WORD
    assert [len(word) for word in split_words(long)] == [LONGEST_WORD, 1]


@pytest.mark.parametrize(
    ("kind", "text", "size", "decoded"),
    [(WordTokenizer, "to b or to b", 4, "to b ? to b"), (Vocabulary, "cbbabaa", 3, "?bbabaa")],
)
def test_the_most_frequent_are_kept(kind, text, size, decoded):
    tokenizer = kind.from_text(text, max_size=size)
    assert len(tokenizer) == size
    assert tokenizer.decode(tokenizer.encode(text)).replace(UNKNOWN, "?") == decoded


def test_bytes_that_are_not_utf8_decode_to_the_unknown_character():
    assert ByteTokenizer().decode([0xFF, 0x61, 0xC3]) == f"{UNKNOWN}a{UNKNOWN}"


@KINDS
@pytest.mark.parametrize("token", [-1, 256])
def test_a_token_out_of_range_is_refused(kind, token):
    with pytest.raises(ValueError, match=f"token {token} came, 0 to"):
        TOKENIZERS[kind].from_text("ab").decode([token])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Vocabulary(["ab"]), "'ab' came, single characters"),
        (lambda: Vocabulary("\ud800"), "surrogate"),
        (lambda: WordTokenizer(["a b"]), "'a b' came, single words"),
        (lambda: WordTokenizer(["a", "a"]), "'a' came twice"),
        (lambda: WordTokenizer(["\udc00"]), "surrogate"),
        (lambda: ByteTokenizer().encode("ab\udc00"), "at character 2 is half of a surrogate"),
        (lambda: ByteTokenizer.from_text("a", max_size=9), "always 256"),
        (lambda: WordTokenizer.from_text("a", max_size=1), "max_size=1 came, at least 2"),
        (lambda: from_dict([]), "a list came"),
        (lambda: from_dict({"kind": "syllable"}), "kind 'syllable' came.*character, byte, word"),
        (lambda: from_dict({"kind": ["byte"]}), "came, a dict with a kind"),
        (lambda: from_dict({"kind": "byte", "size": 9}), "holds kind, size; kind were expected"),
        (lambda: from_dict({"kind": "word", "words": "ab"}), "words are a str, a list"),
        (lambda: from_dict({"kind": "word", "words": [["a"]]}), r"\['a'\] came, single words"),
        (lambda: from_dict({"kind": "character", "characters": "ba"}), "in order of code point"),
        (lambda: Vocabulary.from_dict([]), "description is a list, a dict was expected"),
        (lambda: Vocabulary.from_dict({"kind": "byte"}), "kind 'byte' came, 'character'"),
    ],
)
def test_what_makes_no_tokenizer_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("content", "says"), [(b"{", "no JSON"), (b"[" * 10**5, "no JSON"), (b'{"kind": 1}', "kind 1")]
)
def test_a_damaged_file_is_named(tmp_path, content, says):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"t.json.*{says}"):
        load_tokenizer(tmp_path / "t.json")


@pytest.mark.parametrize("mark", ["\u0300", "\u0301", "\u036f", "\u0bcd", "\ua9c0"])
def test_a_mark_belongs_to_the_word_of_its_letter(mark):
    assert list(split_words(f"a{mark}b c")) == [f"a{mark}b", " ", "c"]
