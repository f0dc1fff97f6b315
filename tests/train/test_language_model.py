import hashlib
import math
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import ByteTokenizer, Corpus, TextError, Vocabulary, ngram_bits, open_text, read_text, token_file
from minirnn.losses import cross_entropy
from minirnn.train import CELLS, LanguageModel, TrainConfig, held_out_nats, read_metrics, score, text_experiment, train
from minirnn.train.evaluate import Score
from minirnn.train.language_model import Reading, held_out_start
from minirnn.train.sample import sample

pytestmark = pytest.mark.usefixtures("no_pictures")

CORPUS = Corpus("abcabdabeabf" * 60, "letters", 1, 0)
SMALL = {"hidden": 16, "embedding": 8, "batch": 4, "seq_length": 12}


def trained(corpus=CORPUS, **options):
    return train(text_experiment(corpus, TrainConfig(**{**SMALL, **options})))


# ---------------------------------------------------------------- training
def test_it_learns_what_a_bigram_cannot():
    run = trained(steps=150, lr=2e-2)
    assert run.figures["held_out_bits_per_char"] < run.figures["bigram_bits_per_char"]
    assert run.figures["steps"] == 150
    assert math.isclose(run.figures["perplexity"], 2 ** run.figures["held_out_bits_per_char"])


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_weights(cell):
    first, second, other = (
        trained(cell=cell, steps=3, layers=2, dropout=0.3, seed=seed).model.state_dict() for seed in (0, 0, 1)
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_dropout_and_tied_weights_change_what_they_should():
    tied = LanguageModel(9, hidden=8, embedding=8, tie_weights=True, dropout=0.5, rng=np.random.default_rng(0))
    assert "embedding.weight" not in tied.parameters()
    assert np.abs(tied.embedding.weight).max() <= 8**-0.5
    tokens = np.arange(9)[:, None]
    quiet, noisy = tied(tokens)[0], tied(tokens, rng=np.random.default_rng(0))[0]
    assert not np.allclose(quiet, noisy)
    assert np.array_equal(quiet, tied(tokens)[0])
    with pytest.raises(ValueError, match="embedding=4 and hidden=8"):
        LanguageModel(9, hidden=8, embedding=4, tie_weights=True)


@pytest.mark.parametrize("tokenizer", ["character", "byte", "word"])
def test_bits_per_character_are_comparable_among_tokenizers(tokenizer):
    """Of a model that knows nothing: log2 of the tokens' number, times the tokens a character."""
    corpus = Corpus("나는 학생 이다. " * 40, "korean", 1, 0)
    experiment = text_experiment(corpus, TrainConfig(steps=1, tokenizer=tokenizer, **SMALL))
    for value in experiment.model.parameters().values():
        value[...] = 0
    figures = experiment.figures(experiment.model)
    tokens, held_out = experiment.data["held_out"], len(corpus.text) // 10
    expected = math.log2(len(experiment.tokenizer)) * tokens / held_out
    assert math.isclose(figures["held_out_bits_per_char"], expected, rel_tol=1e-6)
    assert math.isclose(figures["uniform_bits_per_char"], expected, rel_tol=1e-6)


def test_the_vocabulary_can_be_kept_small():
    experiment = text_experiment(CORPUS, TrainConfig(steps=1, vocabulary=3, **SMALL))
    assert experiment.tokenizer.encode("abcd").tolist() == [1, 2, 0, 0]
    with pytest.raises(ValueError, match="max_size=3 came; there are always 256 bytes"):
        text_experiment(CORPUS, TrainConfig(steps=1, vocabulary=3, tokenizer="byte", **SMALL))


def test_the_data_of_an_experiment_says_what_is_held_out():
    corpus = Corpus("ab" * 90 + "ac" * 10, "letters", 1, 0)
    data = text_experiment(corpus, TrainConfig(steps=10, **SMALL)).data
    assert (data["training"], data["held_out"], data["unknown"]) == (180, 20, 10)


@pytest.mark.parametrize("tokenizer", ["character", "byte", "word"])
def test_a_text_in_its_files_makes_the_experiment_of_one_in_memory(tokenizer, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abc é한\n"), 900))
    (tmp_path / "a").write_text(text[:400])
    (tmp_path / "b").write_text(text[400:])
    config = TrainConfig(steps=1, tokenizer=tokenizer, **SMALL)
    whole = text_experiment(read_text(tmp_path), config)
    monkeypatch.setattr(token_file, "_IN_MEMORY", 10)
    opened = text_experiment(open_text(tmp_path), config)
    assert opened.data == whole.data
    assert opened.tokenizer == whole.tokenizer
    assert opened.batches.state_dict() == whole.batches.state_dict()
    assert np.array_equal(opened.excerpt, whole.excerpt)
    assert opened.excerpt.dtype == np.int64
    assert opened.figures(opened.model) == whole.figures(whole.model)
    together = read_text(tmp_path).text
    start = held_out_start(read_text(tmp_path))
    assert whole.data["sha256"] == hashlib.sha256(together.encode()).hexdigest()
    assert whole.data["first_line"] == together[: together.find("\n") + 1][:80]
    tokens = [whole.tokenizer.encode(part) for part in (together[:start], together[start:])]
    assert [whole.data["training"], whole.data["held_out"]] == [len(part) for part in tokens]
    bits = ngram_bits(*tokens, len(whole.tokenizer), 3) * len(tokens[1]) / (len(together) - start)
    assert math.isclose(whole.data["yardsticks"]["trigram"], bits)


def test_a_long_text_takes_a_few_bytes_a_character(tmp_path):
    """What is held of it: 1 byte a character, in a file, and some pieces of a megabyte."""
    size = 12_000_000
    pattern = np.random.default_rng(0).choice(list(b"abcdefgh ijklmn\n"), 100_003).astype(np.uint8)
    (tmp_path / "text").write_bytes(np.resize(pattern, size).tobytes())
    tracemalloc.start()
    experiment = text_experiment(open_text(tmp_path / "text"), TrainConfig(steps=1, **SMALL))
    next(experiment.batches)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{peak / size:.1f} bytes a character")
    assert peak < 6 * size
    assert experiment.data["characters"] == size


def test_an_experiment_holds_what_is_looked_at_while_it_trains():
    corpus = Corpus("abca\nbdab\n" * 72, "letters", 1, 0)
    experiment = text_experiment(corpus, TrainConfig(steps=1, accumulate=3, seed=5, **SMALL))
    assert experiment.tokens_per_step == 4 * 12 * 3
    held_out = experiment.tokenizer.encode(corpus.text[648:])
    assert experiment.excerpt.T.tolist() == [held_out[18 * b : 18 * b + 18].tolist() for b in range(4)]
    drawn = sample(experiment.model, experiment.tokenizer, "abca\n", 300, temperature=0.7, rng=np.random.default_rng(5))
    assert experiment.shown(experiment.model) == "abca\n" + "".join(drawn)


def test_what_is_counted_is_counted_over_all_pieces():
    text, tokenizer = "ab?a?b??a", Vocabulary.from_text("ab")
    pieces = SimpleNamespace(pieces=lambda start=0, stop=None: iter(text[start:stop]))
    read = Reading(tokenizer)
    tokens = np.concatenate(list(read.encoded(pieces, 4)))
    assert tokens.tolist() == tokenizer.encode(text).tolist()
    assert (read.training, read.unknown) == (4, 3)
    assert read.checksum.hexdigest() == hashlib.sha256(text.encode()).hexdigest()


def test_no_more_than_some_millions_of_characters_are_held_out():
    held_out = lambda characters: characters - held_out_start(SimpleNamespace(characters=characters))
    assert [held_out(n) for n in (5, 25, 50_000_000, 10**9)] == [1, 2, 5_000_000, 5_000_000]


@pytest.mark.parametrize(
    ("text", "line"), [("ab\ncd", "ab\n"), ("abcd", ""), ("\nab", "\n"), ("x" * 90 + "\n", "x" * 80), ("x" * 90, "")]
)
def test_a_sample_begins_with_the_first_line(text, line):
    data = text_experiment(
        Corpus(text * 20 if line else text, "", 1, 0), TrainConfig(steps=1, **SMALL | {"batch": 1})
    ).data
    assert data["first_line"] == line


@pytest.mark.parametrize("text", ["abcdefghij", "a" * 71])
def test_a_text_too_short_for_its_streams_is_refused(text):
    with pytest.raises(TextError, match=r"too short: its first 90 % are \d+ characters, at least 65"):
        text_experiment(Corpus(text, "letters", 1, 0), TrainConfig(steps=1))


def test_the_best_weights_are_what_a_folder_keeps(tmp_path):
    """What the training text teaches is wrong of the held-out part: the last weights are not the best."""
    corpus = Corpus("ab" * 360 + "b" * 80, "letters", 1, 0)
    experiment = text_experiment(corpus, TrainConfig(steps=8, lr=0.1, schedule="constant", val_every=1, **SMALL))
    run = train(experiment, tmp_path)
    assert run.figures["best_step"] < 5
    lowest = min(record["val_loss"] for record in read_metrics(tmp_path))
    assert math.isclose(experiment.validate(run.model)["val_loss"], lowest)


# ---------------------------------------------------------------- evaluation
@given(st.integers(2, 300), st.integers(0, 200), st.integers(1, 5), st.integers(1, 50))
def test_every_held_out_token_is_scored_once_with_its_context(count, start, parts, seq_length):
    rng = np.random.default_rng(count)
    tokens = rng.integers(0, 5, count)
    model = LanguageModel(5, "gru", 6, embedding=3, rng=rng, dtype=np.float64)
    start = min(max(start, 1), count - 1)
    logits, _ = model(tokens[:-1, None])
    expected = float(cross_entropy(logits[start - 1 :, 0], tokens[start:]))
    found = score(model, tokens, start, streams=parts, seq_length=seq_length)
    assert math.isclose(found.nats, expected, rel_tol=1e-6)  # 64 steps back, nothing is left of where a stream began
    assert found.accuracy == np.mean(np.argmax(logits[start - 1 :, 0], axis=-1) == tokens[start:])
    assert found.tokens == count - start


@pytest.mark.parametrize(("nats", "perplexity"), [(2.0, np.exp(2)), (1e4, np.exp(700)), (np.inf, np.exp(700))])
def test_the_perplexity_of_what_diverged_is_a_number(nats, perplexity):
    assert Score(nats, 0.0, 1).perplexity == perplexity
    assert np.isnan(Score(np.nan, 0.0, 1).perplexity)


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="nothing to score"):
        held_out_nats(LanguageModel(5), np.arange(4), 4)


def test_a_tokenizer_of_a_run_is_used_again():
    tokenizer = ByteTokenizer()
    experiment = text_experiment(CORPUS, TrainConfig(steps=1, **SMALL), tokenizer=tokenizer, yardsticks={"mine": 1.0})
    assert experiment.tokenizer is tokenizer
    assert experiment.figures(experiment.model)["mine_bits_per_char"] == 1.0
