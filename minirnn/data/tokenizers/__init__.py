"""Tokenizers: text as integers and back. One interface, three kinds: characters, bytes and words."""

from minirnn.data.tokenizers.bytes import ByteTokenizer
from minirnn.data.tokenizers.characters import Vocabulary
from minirnn.data.tokenizers.kinds import TOKENIZERS, load_tokenizer, tokenizer_from_dict
from minirnn.data.tokenizers.listed import UNKNOWN
from minirnn.data.tokenizers.tokenizer import Tokenizer
from minirnn.data.tokenizers.words import WordTokenizer

__all__ = [
    "TOKENIZERS",
    "UNKNOWN",
    "ByteTokenizer",
    "Tokenizer",
    "Vocabulary",
    "WordTokenizer",
    "load_tokenizer",
    "tokenizer_from_dict",
]
