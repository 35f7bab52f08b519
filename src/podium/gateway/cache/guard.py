"""What two questions must have in common, word for word, before one answer can do for both.

Embeddings hardly see a number, a name or a "not", and the mean of word vectors does not see order at all: these are
compared as text, by rules that always say the same. The word lists are English; in other languages the rules for
numbers, names, quotations, code and order hold, and any other change of words counts as a change of content.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# In this order: what is quoted, code, or looks like an address is one piece.
_PIECE: Final = re.compile(
    r"""
    "[^"\n]*" | “[^”\n]*” | „[^“”\n]*[“”] | «[^»\n]*» | ‘[^’\n]*’ | `+[^`]*`+   # quoted
    | (?<!\w)'[^'\n]+'(?!\w)
    | https?://\S+ | [\w.+-]+@[\w-]+\.[\w.-]+ | (?:[~.]{0,2}/)[\w./-]+          # addresses and paths
    | \w+(?:['’]\w+)+                                                           # don't, customer's
    | \w+(?:[._:/\\-]\w+)+                                                      # snake.case, 10:30, a-b
    | [-+]?\d[\d,]*(?:\.\d+)?\w*                                                # 1,000.50, 3rd, 5kg
    | \w+
    | \n[ \t]+                                                                  # code's indentation
    | [^\w\s]
    """,
    re.VERBOSE,
)
_QUOTES: Final = "\"“”„«»‘’`'"
# Signs that only structure a sentence; among numbers, most of them may mean more.
_PUNCTUATION: Final = frozenset(".,;:!?…–—'’\"“”")
_AMONG_NUMBERS: Final = frozenset(".,;?")


_HUMP: Final = re.compile(r"\w[A-Z]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NEGATIONS: Final = _set(
    "not no never none nor neither nothing nobody nowhere without cannot unable hardly barely except unless instead but "
    "rather stop stopped avoid refuse refused fail failed fails decline declined must should"
)
_NUMBER_WORDS: Final = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half third "
    "quarter dozen once twice thrice double triple single first second fourth fifth last next previous another other "
    "both all any every each some many much few several more less most least fewer enough only another"
)
_TIMES: Final = _set(
    "today tomorrow yesterday now tonight before after until till since ago already yet again still always soon later "
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december second seconds minute minutes hour hours day days week weeks month months year "
    "years daily weekly monthly yearly will"
)
_DIRECTIONS: Final = _set(
    "from out off up down over under above below between than in into onto inside outside left right increase decrease "
    "on per with against if"
)
_PERSONS: Final = _set(
    "he she him her his hers they them their theirs who whom whose what which when where why how"
)

# Who speaks and who is spoken to, each with its person. In another order they make another question.
_SPEAKERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("i", "me", "my", "mine", "myself"), "i"),
    **dict.fromkeys(("we", "us", "our", "ours", "ourselves"), "we"),
    **dict.fromkeys(("you", "your", "yours", "yourself", "yourselves"), "you"),
}
_OWNERS: Final = _set("my our your")
_EXACT: Final = _NEGATIONS | _NUMBER_WORDS | _TIMES | _DIRECTIONS | _PERSONS | frozenset(_SPEAKERS)
_LIKE_NAMES: Final = _set("US IT WHO")
# After a number: "5 mg" is a billionth of "5 Mg", but a time of day is the same in any case.
_UNIT: Final = 4
_NO_UNITS: Final = _set("am pm")

_HARMLESS: Final = _set(
    "a an the this that these those it its is am are be been being "
    "was were do does did doing have has had having can could would shall may might to of for at by as and "
    "or so then there here please pls kindly thanks thank hi hello hey dear ok okay well just really very quite actually "
    "like want wanted tell know help let get got also too about it's that's there's "
    "anyone someone something anything somehow sir madam team um uh oh lol"
)
_CONTRACTIONS: Final = {"won't": "will not", "can't": "can not", "cannot": "can not", "shan't": "shall not"}
_ENDINGS: Final = re.compile(r"(?<=\w{4})(?:'s|’s|s)$")


@dataclass(frozen=True, slots=True)
class Difference:
    """What keeps two questions apart. `exact`: in what must never differ; else in a word that carries content."""

    what: str
    exact: bool


def difference(one: str, other: str) -> Difference | None:
    """Return what keeps two questions from being the same, or None when only harmless words are between them.

    The same in both directions.
    """
    left, right = _tokens(one), _tokens(other)
    exact = {word for word, is_exact in (*left, *right) if is_exact}
    mine, yours = _kept(left, exact), _kept(right, exact)
    if mine != yours:
        return Difference(_told(mine, yours), exact=True)
    ours, theirs = _content(left), _content(right)
    common = set(ours) & set(theirs)
    if [word for word in ours if word in common] != [word for word in theirs if word in common]:
        return Difference("the order of the words", exact=True)
    if ours != theirs:
        return Difference(_told(ours, theirs), exact=False)
    return None


def _tokens(text: str) -> list[tuple[str, bool]]:
    """Return the words of a text in one spelling, each with whether it must be the same in the other text."""
    found: list[tuple[str, bool]] = []
    signs = _AMONG_NUMBERS if any(sign.isdigit() for sign in text) else _PUNCTUATION
    for match in _PIECE.finditer(unicodedata.normalize("NFC", text)):
        piece = match[0]
        if piece in signs:
            continue
        if len(piece) > 1 and piece[0] in _QUOTES and piece[-1] in _QUOTES:
            found.append((piece.strip(_QUOTES), True))
        else:
            for word in _spelled_out(piece):
                if _is_unit(word, found) or (word in _LIKE_NAMES and not text.isupper()):
                    found.append((word, True))
                elif not _goes_without_saying(word.casefold(), found):
                    found.append((_spelling(word), _is_exact(word)))
    return found


def _is_unit(word: str, before: list[tuple[str, bool]]) -> bool:
    """Return whether a word may be the unit of the number before it, so that its case counts."""
    low = word.casefold()
    if not before or not word.isalpha() or len(word) > _UNIT:
        return False
    number = before[-1][0]
    is_counted = number[-1:].isdigit() or number in _NUMBER_WORDS
    return is_counted and (len(word) == 1 or low not in _EXACT | _HARMLESS | _NO_UNITS)


def _goes_without_saying(low: str, before: list[tuple[str, bool]]) -> bool:
    """Return whether a word is the "you" of "thank you", or an owner just named: "how can I reset my ..."."""
    if low == "you" and before and before[-1][0] == "thank":
        return True
    latest = next((word for word, _ in reversed(before) if word in _SPEAKERS), None)
    return low in _OWNERS and latest is not None and _SPEAKERS[latest] == _SPEAKERS[low]


def _spelled_out(piece: str) -> list[str]:
    plain = piece.replace("’", "'")
    low = plain.lower()
    if low in _CONTRACTIONS:
        return _CONTRACTIONS[low].split()
    if low.endswith("n't"):
        return [plain[:-3], "not"]
    if low.endswith("'s") and low[:-2] in _PERSONS:
        return [plain[:-2], "is"]
    if low.endswith("'ll"):
        return [plain[:-3], "will"]
    if low.partition("'")[0] in _SPEAKERS and "'" in low:
        # I'm, you're, we've: what follows is harmless.
        return [plain.partition("'")[0]]
    return [plain.replace(",", "")] if plain[0].isdigit() or plain[1:2].isdigit() else [plain]


def _spelling(word: str) -> str:
    # Of what looks like an identifier the case counts.
    is_word = word.replace("'", "").replace("-", "").isalpha()
    return word.casefold() if is_word and (word.isupper() or not _HUMP.search(word)) else word


def _is_exact(word: str) -> bool:
    low = word.casefold()
    if low in _EXACT or not word.replace("'", "").replace("-", "").isalpha():
        return True
    if low in _HARMLESS:
        return False
    # A capital makes a name, or may at the beginning of a sentence; letters without case could be one anywhere.
    return any(letter.isupper() or letter.lower() == letter.upper() for letter in word if letter.isalpha())


def _kept(tokens: list[tuple[str, bool]], exact: set[str]) -> list[str]:
    return [word for word, _ in tokens if word in exact]


def _content(tokens: list[tuple[str, bool]]) -> list[str]:
    return [_ENDINGS.sub("", word) for word, is_exact in tokens if is_exact or word not in _HARMLESS]


def _told(ours: list[str], theirs: list[str]) -> str:
    for mine, yours in zip(ours, theirs, strict=False):
        if mine != yours:
            return f"{mine!a} and {yours!a}"
    longer = ours if len(ours) > len(theirs) else theirs
    return f"{longer[min(len(ours), len(theirs))]!a}, which is in one alone"
