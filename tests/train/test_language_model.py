import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import Corpus, TextError, Vocabulary
from minirnn.losses import cross_entropy
from minirnn.train import (
    CELLS,
    LanguageModel,
    LanguageModelConfig,
    held_out_nats,
    load_run,
    reserve_run,
    sample,
    save_run,
    train_language_model,
)
from minirnn.train.language_model import Watcher, build

CORPUS = Corpus("abcabdabeabf" * 60, "letters", 1, 0)
SMALL = {"hidden": 16, "embedding": 8, "batch": 4, "seq_length": 12}


@pytest.fixture(scope="module")
def run():
    return train_language_model(CORPUS, LanguageModelConfig(steps=150, lr=2e-2, **SMALL))


# ---------------------------------------------------------------- training
def test_it_learns_what_a_bigram_cannot(run):
    assert run.figures["held_out_bits_per_char"] < run.figures["bigram_bits_per_char"]
    assert run.figures["steps"] == 150


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_weights(cell):
    config = LanguageModelConfig(cell=cell, steps=3, layers=2, **SMALL)
    first, second = (train_language_model(CORPUS, config).model.state_dict() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_watcher_sees_the_corpus_the_yardsticks_and_held_out_looks():
    class Listening(Watcher):
        def __init__(self):
            self.heard = []

        def corpus(self, corpus, vocabulary, training, held_out, unknown):
            self.heard.append((training, held_out, unknown))

        def held_out(self, progress, bits):
            self.heard.append(progress.step)

    watcher = Listening()
    train_language_model(
        Corpus("ab" * 90 + "ac" * 10, "letters", 1, 0), LanguageModelConfig(steps=10, **SMALL), watcher
    )
    assert watcher.heard == [(180, 20, 10), 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_text_too_short_for_its_streams_is_refused():
    with pytest.raises(TextError, match="too short: its first 90 % are 9 characters, at least 65"):
        train_language_model(Corpus("abcdefghij", "letters", 1, 0), LanguageModelConfig(steps=1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cell": "lstn", "steps": 1}, "cell='lstn' came, one of lstm, gru, rnn"),
        ({"hidden": 0, "steps": 1}, "hidden=0 came, a positive integer"),
        ({"hidden": 2.5, "steps": 1}, "hidden=2.5"),
        ({"lr": float("nan"), "steps": 1}, "lr=nan came, a positive number"),
        ({"steps": True}, "steps=True"),
        ({"seed": -1, "steps": 1}, "seed=-1"),
        ({}, "exactly one of them"),
        ({"steps": 1, "minutes": 1.0}, "exactly one of them"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        LanguageModelConfig(**options)


# ---------------------------------------------------------------- evaluation
@given(st.integers(2, 300), st.integers(0, 200), st.integers(1, 5), st.integers(1, 50))
def test_every_held_out_token_is_scored_once_with_its_context(count, start, parts, seq_length):
    rng = np.random.default_rng(count)
    tokens = rng.integers(0, 5, count)
    model = LanguageModel(5, "gru", 6, embedding=3, rng=rng, dtype=np.float64)
    start = min(max(start, 1), count - 1)
    logits, _ = model(tokens[:-1, None])
    expected = float(cross_entropy(logits[start - 1 :, 0], tokens[start:]))
    found = held_out_nats(model, tokens, start, streams=parts, seq_length=seq_length)
    assert math.isclose(found, expected, rel_tol=1e-6)  # 64 steps back, nothing is left of where a stream began


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="nothing to score"):
        held_out_nats(LanguageModel(5), np.arange(4), 4)


# ---------------------------------------------------------------- sampling
def test_the_same_seed_continues_a_text_the_same_way(run):
    texts = [
        "".join(sample(run.model, run.vocabulary, "abc", 30, rng=np.random.default_rng(seed))) for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 30
    assert set(texts[0]) <= set(CORPUS.text)


def test_temperature_zero_takes_the_likeliest(run):
    texts = ["".join(sample(run.model, run.vocabulary, "abcab", 12, temperature=0)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0][1:3] == "ab"


@pytest.mark.parametrize("prime", ["", "한글", "ab"])
def test_any_prime_is_continued(run, prime):
    assert len(list(sample(run.model, run.vocabulary, prime, 5))) == 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": -1}, "length=-1"),
        ({"length": 1, "temperature": -0.1}, "temperature=-0.1"),
        ({"length": 1, "temperature": float("inf")}, "temperature=inf"),
    ],
)
def test_bad_sampling_options_are_errors_at_the_call(run, options, says):
    with pytest.raises(ValueError, match=says):
        sample(run.model, run.vocabulary, "a", **options)


def test_a_vocabulary_without_characters_cannot_be_sampled(run):
    with pytest.raises(ValueError, match="no characters"):
        sample(run.model, Vocabulary(""), "a", 1)


# ---------------------------------------------------------------- runs in folders
def test_a_run_is_a_round_trip(run, tmp_path):
    save_run(run, reserve_run(tmp_path / "new" / "run"))
    again = load_run(tmp_path / "new" / "run", build)
    assert (again.vocabulary, again.config, again.figures) == (run.vocabulary, run.config, run.figures)
    before = run.model.state_dict()
    assert all(np.array_equal(value, before[name]) for name, value in again.model.state_dict().items())
    with pytest.raises(FileExistsError, match="already holds a run"):
        reserve_run(tmp_path / "new" / "run")


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="a folder was expected"):
        reserve_run(tmp_path / "file")


@pytest.mark.parametrize(
    ("file", "content", "error", "says"),
    [
        ("run.json", None, FileNotFoundError, r"no run: run\.json"),
        ("model.safetensors", None, FileNotFoundError, r"no run: model\.safetensors"),
        ("run.json", b"{", ValueError, "no JSON"),
        ("run.json", b"[]", ValueError, "format 'list' came"),
        ("run.json", b'{"format": 99}', ValueError, "format 99 came, 1 was expected"),
        ("run.json", b'{"format": 1, "config": {}, "figures": {}}', ValueError, "vocabulary missing"),
        (
            "run.json",
            b'{"format": 1, "config": {"cell": "x"}, "vocabulary": "ab", "figures": {}}',
            ValueError,
            "makes no model",
        ),
        ("model.safetensors", b"nothing", ValueError, "no safetensors file"),
    ],
)
def test_a_damaged_run_is_an_error_that_names_the_file(run, tmp_path, file, content, error, says):
    save_run(run, tmp_path)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(error, match=says):
        load_run(tmp_path, build)


def test_no_folder_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_run(tmp_path / "missing", build)
