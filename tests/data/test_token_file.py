import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file

from minirnn.data import TOKENIZERS, TokenFile, Vocabulary, encode_file, kept_tokens, streams, token_file
from minirnn.data.files import PIECE_BYTES


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("piece_bytes", [1, 5, 1000])
def test_a_file_holds_the_texts_tokens_and_its_tokenizer(tmp_path, kind, piece_bytes):
    text = "one word, 한글 and 😀.\n\nAnother word\n"
    (tmp_path / "text").write_text(text, encoding="utf-8", newline="\n")
    tokenizer = TOKENIZERS[kind].from_text(text[:20])
    file = encode_file(tmp_path / "text", tokenizer, tmp_path / "tokens", piece_bytes=piece_bytes)
    assert np.array_equal(file.tokens, tokenizer.encode(text))
    assert np.array_equal(file.tokens, load_file(tmp_path / "tokens")["tokens"])
    assert file.tokenizer == tokenizer
    assert file.unknown == {"byte": 0, "character": 3, "word": 1}[kind]
    file.verify()


@pytest.mark.parametrize(("size", "dtype"), [(256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4")])
def test_tokens_take_the_smallest_dtype(tmp_path, size, dtype):
    vocabulary = Vocabulary([chr(0x10000 + k) for k in range(size - 1)])
    (tmp_path / "text").write_text(vocabulary.characters[-1], encoding="utf-8")
    file = encode_file(tmp_path / "text", vocabulary, tmp_path / "tokens")
    assert file.tokens.dtype == dtype
    assert file.tokens.tolist() == [size - 1]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_neither_writing_nor_streaming_holds_the_file_in_memory(tmp_path, kind):
    text = tmp_path / "text"
    text.write_text("a few words of a text, again and again\n" * 60_000)
    tokenizer = TOKENIZERS[kind].from_text("a few words of a text, again and again\n")
    tracemalloc.start()
    try:
        file = encode_file(text, tokenizer, tmp_path / "tokens", piece_bytes=1 << 14)
        for _ in streams(file.tokens, batch=4, seq_length=1000, epochs=1):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(file) >= 1_000_000
    assert peak < 1_000_000 < text.stat().st_size / 2


def test_streams_of_a_file_are_those_of_its_tokens(tmp_path):
    (tmp_path / "text").write_text("the cat sat on the mat " * 9)
    file = encode_file(tmp_path / "text", Vocabulary("acehmnost "), tmp_path / "tokens")
    chunks = streams(file.tokens, 3, 7, epochs=2), streams(np.array(file.tokens, np.int64), 3, 7, epochs=2)
    for mapped, in_memory in zip(*chunks, strict=True):
        assert mapped.inputs.dtype == mapped.targets.dtype == np.int64
        assert all(np.array_equal(a, b) for a, b in zip(mapped, in_memory, strict=True))


@pytest.fixture
def written(tmp_path):
    (tmp_path / "text").write_text("abc" * 50)
    encode_file(tmp_path / "text", Vocabulary("abc"), tmp_path / "tokens")
    return tmp_path / "tokens"


def test_a_token_that_was_changed_is_found(written):
    content = bytearray(written.read_bytes())
    content[-7] ^= 1
    written.write_bytes(content)
    with pytest.raises(ValueError, match="the tokens are damaged"):
        TokenFile(written).verify()


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(written):
    content = written.read_bytes()
    for length in [*range(12), *range(12, len(content), 9), len(content) - 1]:
        written.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged"):
            TokenFile(written)


@pytest.mark.parametrize("length", [0, 1 << 20, (1 << 64) - 1])
def test_a_header_of_an_impossible_length_is_not_read(written, length):
    written.write_bytes(length.to_bytes(8, "little") + written.read_bytes()[8:])
    with pytest.raises(ValueError, match=f"its header would be {length} bytes long"):
        TokenFile(written)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["tokens"].update(dtype="F32"), "dtype 'F32' came"),
        (lambda d: d["tokens"].update(shape=[2**63]), "tokens came, a positive integer"),
        (lambda d: d["tokens"].update(shape=[150, 1]), "damaged"),
        (lambda d: d["tokens"].update(data_offsets=[0, 9]), "offsets"),
        (lambda d: d.pop("tokens"), "one array of tokens"),
        (lambda d: d["__metadata__"].pop("crc32"), "damaged"),
        (lambda d: d["__metadata__"].update(tokenizer='{"kind": "x"}'), "kind 'x' came"),
        (lambda d: d["__metadata__"].update(tokenizer="[" * 10**5), "damaged"),
    ],
)
def test_a_header_that_is_not_ours_is_refused(written, change, says):
    content = written.read_bytes()
    length = int.from_bytes(content[:8], "little")
    described = json.loads(content[8 : 8 + length])
    change(described)
    header = json.dumps(described).encode()
    written.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    with pytest.raises(ValueError, match=says):
        TokenFile(written)


def test_an_empty_text_is_refused_and_no_file_is_left(tmp_path):
    (tmp_path / "text").write_text("")
    with pytest.raises(ValueError, match="the text is empty"):
        encode_file(tmp_path / "text", Vocabulary("a"), tmp_path / "tokens")
    assert [file.name for file in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize("most", [0, 5, 10**6])
@pytest.mark.parametrize(("size", "dtype"), [(256, "uint8"), (257, "uint16"), (70_000, "uint32")])
def test_tokens_are_kept_in_the_smallest_dtype_in_memory_or_in_a_file(size, dtype, most, monkeypatch):
    from minirnn.data import token_file

    monkeypatch.setattr(token_file, "_IN_MEMORY", most)
    tokens = np.random.default_rng(0).integers(0, size, 1000)
    kept = kept_tokens(iter(np.split(tokens, [0, 3, 3, 500])), size)
    assert kept.dtype == dtype
    assert np.array_equal(kept, tokens)
    assert isinstance(kept, np.memmap) == (most < 1000)
    assert kept_tokens([], size).shape == kept_tokens([tokens[:0]], size).shape == (0,)


def test_pieces_have_a_size_by_default(tmp_path):
    (tmp_path / "text").write_text("ab" * PIECE_BYTES)
    assert len(encode_file(tmp_path / "text", Vocabulary("ab"), tmp_path / "tokens")) == 2 * PIECE_BYTES


@pytest.mark.parametrize("piece", [1, 4, 8, 9])
def test_every_token_is_verified_the_last_one_of_a_piece_of_its_own_too(tmp_path, piece, monkeypatch):
    monkeypatch.setattr(token_file, "PIECE_BYTES", piece)
    (tmp_path / "text").write_text("abababab" + "a")
    encode_file(tmp_path / "text", Vocabulary("ab"), tmp_path / "tokens").verify()
    content = (tmp_path / "tokens").read_bytes()
    for place in range(1, 10):
        damaged = bytearray(content)
        damaged[-place] ^= 1
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ValueError, match="the tokens are damaged"):
            TokenFile(tmp_path / "damaged").verify()
