import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.analysis.reading import read_along, shown, spans_of, token_ends, visible
from minirnn.data import TOKENIZERS
from minirnn.functional import softmax

TEXT = "나는 학생이다.\n\u1112\u1161\u11ab e\u0301 👩‍👩‍👧"


def model_for(tokenizer, seed=0):
    rng = np.random.default_rng(seed)
    return minirnn.Sequential(
        minirnn.Embedding(len(tokenizer), 3, rng=rng),
        minirnn.LSTM(3, 4, num_layers=2, rng=rng),
        minirnn.Linear(4, len(tokenizer), rng=rng),
    )


@pytest.mark.parametrize("kind", ["character", "byte", "word"])
def test_what_is_recorded_is_what_the_model_computes(kind):
    tokenizer = TOKENIZERS[kind].from_text(TEXT)
    model = model_for(tokenizer)
    reading = read_along(model, tokenizer, TEXT)
    logits, _ = model(reading.tokens[:, None])
    expected = softmax(logits[:, 0].astype(np.float64))
    assert reading.likeliest[:, 0].tolist() == expected.argmax(axis=1).tolist()
    assert reading.actual[:-1] == pytest.approx(expected[np.arange(len(expected) - 1), reading.tokens[1:]], rel=1e-4)
    assert np.isnan(reading.actual[-1])
    assert list(reading.cells) == ["layers.1.layers.0.cell", "layers.1.layers.1.cell"]
    assert model.layers[2](reading.cells["layers.1.layers.1.cell"]["h"]) == pytest.approx(logits[:, 0], abs=1e-5)
    assert "".join(span.text for span in reading.spans) == TEXT
    assert reading.spans[-1].last == len(reading.tokens) - 1


@given(
    st.text(alphabet="ab 가\u1112\u1161\u11abe\u0301👩\u200d🇰🇷\n", max_size=20),
    st.sampled_from(sorted(TOKENIZERS)),
)
def test_spans_cut_neither_tokens_nor_characters_and_leave_nothing_out(text, kind):
    tokenizer = TOKENIZERS[kind].from_text(text)
    ends = token_ends(tokenizer, text)
    assert len(ends) == len(tokenizer.encode(text))
    spans = spans_of(text, ends)
    assert "".join(span.text for span in spans) == text
    tokens = [token for span in spans for token in range(span.first, span.last + 1)]
    assert tokens == list(range(len(ends)))


def test_a_text_is_cut_at_whole_characters():
    tokenizer = TOKENIZERS["byte"]()
    reading = read_along(model_for(tokenizer), tokenizer, "나는", tokens=5)
    assert reading.text == "나"
    assert len(reading.tokens) == 3


def test_what_cannot_be_read_is_said():
    tokenizer = TOKENIZERS["byte"]()
    with pytest.raises(ValueError, match="1 tokens"):
        read_along(model_for(tokenizer), tokenizer, "a")


def test_tokens_that_cannot_be_seen_are_shown_by_a_sign():
    assert [shown(TOKENIZERS["byte"](), token) for token in (10, 32, 65, 0xEA)] == ["⏎", "␣", "A", "0xEA"]
    assert visible("\u0301") == "◌\u0301"
    assert visible("a b") == "a␣b"
