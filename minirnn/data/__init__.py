"""Text as tokens, tokens as streams of chunks, and what n-gram models make of them."""

from minirnn.data.ngrams import ngram_bits
from minirnn.data.streams import Chunk, streams
from minirnn.data.text import Corpus, TextError, Vocabulary, read_text, standard_library

__all__ = ["Chunk", "Corpus", "TextError", "Vocabulary", "ngram_bits", "read_text", "standard_library", "streams"]
