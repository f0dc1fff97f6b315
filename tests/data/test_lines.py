import numpy as np
import pytest

from minirnn.data import IGNORED, ByteTokenizer, Lines, Vocabulary, split


def test_a_batch_is_start_text_and_text_end():
    lines = Lines(["ab", "b"], Vocabulary("ab"))
    batch = lines.batch([0, 1])
    assert lines.start == lines.end == 3 == lines.vocabulary_size - 1
    assert batch.inputs.T.tolist() == [[3, 1, 2], [3, 2, 0]]
    assert batch.targets.T.tolist() == [[1, 2, 3], [2, 3, IGNORED]]
    assert batch.lengths.tolist() == lines.lengths.tolist() == [3, 2]
    assert batch.starts


def test_drawn_tokens_decode_up_to_the_end():
    lines = Lines(["ab"], Vocabulary("ab"))
    assert lines.decode([1, 2, 3, 1]) == lines.decode([1, 2]) == "ab"
    assert lines.decode([3, 1]) == ""
    with pytest.raises(ValueError, match="token 4 came"):
        lines.decode([4])


def test_an_empty_line_is_an_end():
    assert Lines([""], ByteTokenizer()).batch([0]).targets.tolist() == [[256]]


def test_lines_can_be_split(rng):
    rest, held_out = split(Lines(list("abcdefghij"), Vocabulary("abcdefghij")), 0.3, rng)
    assert (len(rest), len(held_out)) == (7, 3)
    text = [part.decode(part.batch([k]).targets[:, 0]) for part in (rest, held_out) for k in range(len(part))]
    assert sorted(text) == list("abcdefghij")


def test_no_lines_are_refused():
    with pytest.raises(ValueError, match="no lines came"):
        Lines([], Vocabulary("a"))


def test_lengths_are_those_of_the_batches(rng):
    lines = Lines(["x" * n for n in rng.integers(0, 9, 20)], Vocabulary("x"))
    assert np.array_equal(lines.batch(range(20)).lengths, lines.lengths)
