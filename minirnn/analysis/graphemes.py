"""A text cut where a reader sees one character end and the next begin: extended grapheme clusters.

The rules are those of Unicode's UAX #29: a letter keeps its combining marks, Hangul jamo join into one syllable, a flag
is two letters, and emoji joined by a zero-width joiner are one. Marks are told by Python's own table of categories;
what is pictographic is taken by blocks of code points, which is as near as the standard library comes.
"""

import unicodedata

__all__ = ["graphemes"]

ZWNJ, ZWJ = "\u200c", "\u200d"
PICTOGRAPHS = (
    (0x2190, 0x21FF),
    (0x2300, 0x23FF),
    (0x2460, 0x27BF),
    (0x2900, 0x297F),
    (0x2B00, 0x2BFF),
    (0x1F000, 0x1FAFF),
)
PICTOGRAPHS_ALONE = frozenset("©®‼⁉™ℹ〰〽㊗㊙")


def graphemes(text: str) -> list[str]:
    """The clusters of a text in order: joined, they are the text. A syllable of three jamo is one."""
    found: list[str] = []
    start, before, flags, pictograph = 0, "", 0, False
    for n, character in enumerate(text):
        kind = _kind(character)
        if n and not _joined(text[n - 1], before, character, kind, flags, pictograph):
            found.append(text[start:n])
            start = n
        flags = flags + 1 if kind == "flag" else 0
        pictograph = kind == "pictograph" or (pictograph and n > start and kind in ("extend", "zwj"))
        before = kind
    return [*found, text[start:]] if text else found


def _joined(last: str, before: str, character: str, kind: str, flags: int, pictograph: bool) -> bool:
    """Whether no boundary stands between two characters. flags: how many of a flag's letters have just been read;
    pictograph: whether the cluster so far is a pictograph with its extensions."""
    if last == "\r" and character == "\n":
        return True
    if "control" in (before, kind):
        return False
    if kind in ("extend", "zwj", "spacing"):
        return True
    if before == "zwj" and kind == "pictograph":
        return pictograph
    if before == kind == "flag":
        return flags % 2 == 1
    return (before, kind) in HANGUL


HANGUL = frozenset(
    [("L", kind) for kind in ("L", "V", "LV", "LVT")]
    + [(before, kind) for before in ("LV", "V") for kind in "VT"]
    + [(before, "T") for before in ("LVT", "T")]
)


def _kind(character: str) -> str:
    code = ord(character)
    if code < 0x300:
        return "control" if code < 0x20 or 0x7F <= code < 0xA0 or code == 0xAD else _pictograph(character)
    if character == ZWJ:
        return "zwj"
    if character == ZWNJ or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F or 0xFF9E <= code <= 0xFF9F:
        return "extend"
    if 0xAC00 <= code <= 0xD7A3:
        return "LV" if (code - 0xAC00) % 28 == 0 else "LVT"
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "flag"
    category = unicodedata.category(character)
    if category in ("Mn", "Me"):
        return "extend"
    if category == "Mc" or code in (0x0E33, 0x0EB3):
        return "spacing"
    return "control" if category in ("Cf", "Zl", "Zp", "Cs") else _pictograph(character)


def _pictograph(character: str) -> str:
    code = ord(character)
    pictograph = character in PICTOGRAPHS_ALONE or any(low <= code <= high for low, high in PICTOGRAPHS)
    return "pictograph" if pictograph else "other"
