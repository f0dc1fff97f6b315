"""What characters and words have in common: a list of entries, token 0 for whatever is not on it."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator

from minirnn.data.tokenizers.tokenizer import Tokenizer

__all__ = ["UNKNOWN", "ListedTokenizer", "most_frequent"]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""What stands in decoded text for what a tokenizer does not hold; its token is 0."""


class ListedTokenizer(Tokenizer):
    """A tokenizer whose token n is the text entries()[n]; entry 0 is UNKNOWN."""

    unknown = 0

    @abstractmethod
    def entries(self) -> tuple[str, ...]:
        """The text of each token."""

    def __len__(self) -> int:
        return len(self.entries())

    def decode_each(self, tokens: Iterable[int]) -> Iterator[str]:
        entries = self.entries()
        return (entries[self.checked(token)] for token in tokens)


def most_frequent(counts: Counter[str], max_size: int | None) -> list[str]:
    """The counted entries but UNKNOWN, most frequent first, then by code points, at most max_size - 1 of them.

    ValueError: a max_size that leaves no room beside the unknown token.
    """
    if max_size is not None and max_size < 2:
        raise ValueError(f"max_size={max_size} came, at least 2 was expected: one beside the unknown token")
    del counts[UNKNOWN]
    ordered = sorted(counts, key=lambda entry: (-counts[entry], entry))
    return ordered if max_size is None else ordered[: max_size - 1]
