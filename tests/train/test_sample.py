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


@pytest.mark.parametrize("temperature", [0, 1e-300, 1.0, 50])
@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.5}, {"top_k": 3, "top_p": 0.9}])
@pytest.mark.parametrize(
    ("logits", "says"),
    [
        ([0.0, np.nan, 1.0], "nan"),
        ([np.nan] * 3, "nan"),
        ([np.inf, 0.0, 1.0], "infinite"),
        ([np.inf, np.nan, 0.0], "nan"),
        ([-np.inf] * 3, "-inf for every token"),
    ],
)
def test_nothing_is_drawn_from_logits_that_are_no_logarithms(logits, says, options, temperature):
    for rows in ([logits], [[0.0, 1.0, 2.0], logits]):
        with pytest.raises(ValueError, match=f"logits are {says}"):
            choose(np.array(rows), temperature, options.get("top_k"), options.get("top_p"), np.random.default_rng(0))


@pytest.mark.parametrize("temperature", [0, 5e-324, 1e-300, 1.0, 1e300])
def test_what_is_forbidden_is_never_drawn_at_any_temperature(temperature):
    logits = np.tile([-np.inf, -3.0, -np.inf, -2.9, -np.inf], (2000, 1))
    drawn = set(choose(logits, temperature, None, None, np.random.default_rng(0)).tolist())
    assert drawn == ({3} if temperature < 1 else {1, 3})


@pytest.mark.parametrize("diverged", [np.nan, np.inf])
def test_a_diverged_model_writes_nothing(diverged):
    model = LanguageModel(len(VOCABULARY), "gru", 8, rng=np.random.default_rng(0))
    next(iter(model.parameters().values()))[...] = diverged
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"nan|infinite|finite"):
        list(sample(model, VOCABULARY, "abc", 3, rng=np.random.default_rng(0)))


def test_the_unknown_token_is_never_drawn_even_where_it_is_likeliest():
    class Unknowing(LanguageModel):
        def __call__(self, *args, **keywords):
            logits, state = super().__call__(*args, **keywords)
            return logits + 1e4 * (np.arange(len(VOCABULARY)) == VOCABULARY.unknown), state

    model = Unknowing(len(VOCABULARY), "gru", 8, rng=np.random.default_rng(0))
    for options in ({}, {"temperature": 0}, {"top_k": 1}, {"top_p": 1e-9}, {"temperature": 100.0}):
        drawn = "".join(sample(model, VOCABULARY, "abc", 50, rng=np.random.default_rng(0), **options))
        assert set(drawn) <= set("abcdef")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": "1"}, "temperature='1'"),
        ({"temperature": None}, "temperature=None"),
        ({"temperature": True}, "temperature=True"),
        ({"top_p": float("nan")}, "top_p=nan"),
        ({"top_p": "0.5"}, "top_p='0.5'"),
        ({"top_k": 2.5}, "top_k=2.5"),
        ({"top_k": True}, "top_k=True"),
        ({"length": 2.0}, "length=2.0"),
    ],
)
def test_sampling_options_of_another_kind_are_errors_at_the_call(options, says):
    with pytest.raises(ValueError, match=says):
        sample(MODEL, VOCABULARY, "a", **{"length": 1, **options})


@pytest.mark.parametrize("rng", [42, "seed", np.random.RandomState(0)])
def test_an_rng_that_is_no_generator_is_an_error_at_the_call(rng):
    with pytest.raises(TypeError, match=r"sample: rng=.* came, a numpy.random.Generator was expected"):
        sample(MODEL, VOCABULARY, "a", 1, rng=rng)
