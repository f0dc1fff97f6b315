"""Text as tokens, sequences as batches, synthetic tasks with their baselines, and what n-gram models make of a text.

Everything that is iterated over (`streams`, `Batches`, a task's `batches`) goes on from any saved position.
"""

from minirnn.data.batch import IGNORED, Batch, last_step, pad
from minirnn.data.batches import Batches, Dataset, split
from minirnn.data.files import TextError, read_pieces
from minirnn.data.lines import Lines
from minirnn.data.ngrams import ngram_bits
from minirnn.data.resumable import Resumable
from minirnn.data.sequences import Sequences
from minirnn.data.streams import Chunk, Streams, streams
from minirnn.data.text import Corpus, TextFiles, open_text, read_lines, read_text, standard_library
from minirnn.data.token_file import TokenFile, encode_file, kept_tokens
from minirnn.data.tokenizers import (
    TOKENIZERS,
    UNKNOWN,
    ByteTokenizer,
    Tokenizer,
    Vocabulary,
    WordTokenizer,
    load_tokenizer,
    tokenizer_from_dict,
)

__all__ = [
    # text
    "Corpus",
    "TextError",
    "TextFiles",
    "open_text",
    "read_lines",
    "read_pieces",
    "read_text",
    "standard_library",
    # tokens
    "TOKENIZERS",
    "UNKNOWN",
    "ByteTokenizer",
    "Tokenizer",
    "Vocabulary",
    "WordTokenizer",
    "load_tokenizer",
    "tokenizer_from_dict",
    "TokenFile",
    "encode_file",
    "kept_tokens",
    # one long sequence
    "Chunk",
    "Streams",
    "streams",
    # many sequences
    "IGNORED",
    "Batch",
    "Batches",
    "Dataset",
    "Lines",
    "Resumable",
    "Sequences",
    "last_step",
    "pad",
    "split",
    # yardsticks
    "ngram_bits",
]
