"""The help articles of the support desk, found by SQLite full-text search (FTS5, BM25) held in memory."""

from __future__ import annotations

import re
import sqlite3
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAX_TERMS = 200
"""How many different words of a message are looked up; the rest of a very long message is left out."""

# A run of katakana, a pair of kanji or a word. Japanese and Chinese put no spaces between words, so a pair of
# kanji stands for a word of theirs; the hiragana between them are endings and particles.
_WORD = re.compile(r"[ァ-ヺー]{2,}|[一-鿿]{2}|[^\W_ぁ-ヺー一-鿿]{2,32}")

_SEARCH_WORDS = re.compile(r"<!-- search:(.*?)-->", re.DOTALL)

_STOP_WORDS = frozenset(
    """
    about after again all also always am an and any anything are around as ask at back be because been
    before but by came can come could day days dear did do does doing don done else even ever every
    everything find for from get give go going good got had has have hello help her here hi him his how
    however if in into is it its just keep know last let like look made make many may me might more most
    much my need never new no not now of off ok on once one only or other our out over please put really
    right said same say see send sent she should since so some something still such sure take tell than
    thank thanks that the their them then there these they thing this those though through time to today
    too try two under until up us use used very want was way we week weeks well went were what when
    where which while who why will with without would yes yesterday yet you your
    """.split(),  # noqa: SIM905 - two hundred quoted words would be harder to read
)


@dataclass(frozen=True, slots=True)
class Article:
    """A help article that matches a query.

    `slug` is its file name without the ending, `text` its Markdown below the title, and `score` says how well
    it matches: above 0, higher is better, comparable within one search only.
    """

    slug: str
    title: str
    text: str
    score: float


class KnowledgeBase:
    """The articles of a folder, one Markdown file each whose first line is `# Title`.

    A comment `<!-- search: ... -->` in a file holds further words under which customers look for the article,
    in any language; it is searched and not shown. Safe to use from several threads at once.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.execute(
            "CREATE VIRTUAL TABLE article USING fts5"
            " (slug UNINDEXED, title, text, search, tokenize = 'porter unicode61 remove_diacritics 2')",
        )
        rows = [_read(file) for file in sorted(folder.glob("*.md"))]
        self._connection.executemany("INSERT INTO article VALUES (?, ?, ?, ?)", rows)

    def search(self, query: str, limit: int = 2) -> list[Article]:
        """The `limit` articles that fit `query` best, best first; empty when no word of it is known.

        `query` is any text at all, such as a customer's whole message.
        """
        words = _words(query)
        if not words or limit < 1:
            return []
        with self._lock:
            rows = self._connection.execute(
                # A word in the title counts three times, a search word twice as much as one in the text.
                "SELECT slug, title, text, -bm25(article, 0, 3, 1, 2) AS score FROM article"
                " WHERE article MATCH ? ORDER BY score DESC, slug LIMIT ?",
                # Between quotes a word is only a word to FTS5, never an operator or a column.
                (" OR ".join(f'"{word}"' for word in words), limit),
            ).fetchall()
        return [Article(slug, title, text, score) for slug, title, text, score in rows]

    def close(self) -> None:
        """Give the memory of the index back."""
        self._connection.close()


def search(query: str, limit: int = 2) -> list[Article]:
    """The `limit` articles in the folder `knowledge` that fit `query` best, best first.

    `query` is any text at all; see `KnowledgeBase.search`.
    """
    with _building:
        base = _knowledge()
    return base.search(query, limit)


_building = threading.Lock()


@cache
def _knowledge() -> KnowledgeBase:
    return KnowledgeBase(Path(__file__).parent / "knowledge")


def _read(file: Path) -> tuple[str, str, str, str]:
    """A row of the index: slug, title, text, search words."""
    title, _, text = file.read_text(encoding="utf-8").partition("\n")
    search_words = " ".join(_SEARCH_WORDS.findall(text))
    return file.stem, title.removeprefix("# ").strip(), _SEARCH_WORDS.sub("", text).strip(), search_words


def _words(query: str) -> list[str]:
    """The words of `query` worth looking up, each once, at most `MAX_TERMS`."""
    words = dict.fromkeys(word.lower() for word in _WORD.findall(query))
    return [word for word in words if _tells_something(word)][:MAX_TERMS]


def _tells_something(word: str) -> bool:
    """Whether `word` may tell articles apart: no stop word, no number, and no serial number (but E31 is)."""
    if word in _STOP_WORDS or word.isdigit():
        return False
    return len(word) <= 4 or not any(character.isdigit() for character in word)
