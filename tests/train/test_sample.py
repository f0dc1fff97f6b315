import numpy as np
import pytest

from minirnn.data import ByteTokenizer, Vocabulary, WordTokenizer
from minirnn.train import LanguageModel, sample, sample_many
from minirnn.train.sample import choose

VOCABULARY = Vocabulary("abcdef")
MODEL = LanguageModel(len(VOCABULARY), "gru", 8, rng=np.random.default_rng(0))


def text(prime="abc", length=30, seed=1, **options):
    return "".join(sample(MODEL, VOCABULARY, prime, length, rng=np.random.default_rng(seed), **options))


def test_the_same_seed_continues_a_text_the_same_way():
    assert text(seed=1) == text(seed=1) != text(seed=2)
    assert len(text()) == 30
    assert set(text(length=300)) == set("abcdef")


def test_temperature_zero_takes_the_likeliest():
    logits, _ = MODEL(VOCABULARY.encode("abc")[:, None])
    assert text(temperature=0, length=1) == VOCABULARY.decode([1 + np.argmax(logits[-1, 0, 1:])])
    assert text(temperature=0, seed=1) == text(temperature=0, seed=2) == text(top_k=1) == text(top_p=1e-9)


@pytest.mark.parametrize("prime", ["", "한글", "ab"])
def test_any_prime_is_continued(prime):
    assert len(text(prime, 5)) == 5


def test_several_texts_are_drawn_side_by_side_and_each_depends_on_its_own_past():
    texts = sample_many(MODEL, VOCABULARY, "ab", 20, 3, rng=np.random.default_rng(0))
    assert len(set(texts)) == 3
    assert sample_many(MODEL, VOCABULARY, "ab", 20, 1, rng=np.random.default_rng(1)) == [text("ab", 20)]
    greedy = sample_many(MODEL, VOCABULARY, "ab", 20, 2, temperature=0)
    assert greedy == [text("ab", 20, temperature=0)] * 2


@pytest.mark.parametrize(("tokenizer", "prime"), [(ByteTokenizer(), "é"), (WordTokenizer(["to", " ", "be"]), "to be")])
def test_other_tokenizers_are_sampled_too(tokenizer, prime):
    model = LanguageModel(len(tokenizer), "rnn", 4, rng=np.random.default_rng(0))
    rng = [np.random.default_rng(0) for _ in range(2)]
    pieces = "".join(sample(model, tokenizer, prime, 12, rng=rng[0]))
    assert pieces == sample_many(model, tokenizer, prime, 12, 1, rng=rng[1])[0]


# ---------------------------------------------------------------- the draw itself
P = np.array([0.1, 0.4, 0.05, 0.3, 0.15])
EXPECTED = {
    "all": ({}, P),
    "top-k": ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7, 0]),
    "top-k larger than the vocabulary": ({"top_k": 99}, P),
    "top-p": ({"top_p": 0.7}, [0, 4 / 7, 0, 3 / 7, 0]),
    "top-p between": ({"top_p": 0.71}, [0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85]),
    "top-p of what top-k left": ({"top_k": 3, "top_p": 0.5}, [0, 4 / 7, 0, 3 / 7, 0]),
    "cold": ({"temperature": 0.5}, P**2 / np.sum(P**2)),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_tokens_are_drawn_with_their_probabilities(case):
    options, expected = EXPECTED[case]
    drawn = choose(
        np.tile(np.log(P), (20_000, 1)),
        options.get("temperature", 1.0),
        options.get("top_k"),
        options.get("top_p"),
        np.random.default_rng(0),
    )
    shares = np.bincount(drawn, minlength=5) / drawn.size
    assert np.allclose(shares, expected, atol=0.012)
    assert not shares[np.asarray(expected) == 0].any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": -1}, "length=-1"),
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"temperature": float("inf")}, "temperature=inf"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.5}, "top_p=1.5"),
    ],
)
def test_bad_sampling_options_are_errors_at_the_call(options, says):
    with pytest.raises(ValueError, match=says):
        sample(MODEL, VOCABULARY, "a", **{"length": 1, **options})


def test_a_vocabulary_without_characters_and_no_samples_are_errors():
    with pytest.raises(ValueError, match="no tokens but the unknown one"):
        sample(MODEL, Vocabulary(""), "a", 1)
    with pytest.raises(ValueError, match="samples=0"):
        sample_many(MODEL, VOCABULARY, "a", 1, 0)
