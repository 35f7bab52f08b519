"""Searching the help articles: any text at all is a query, and none of it is a command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from desk_knowledge import MAX_TERMS, Article, KnowledgeBase, search
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def base(tmp_path: Path) -> Iterator[KnowledgeBase]:
    (tmp_path / "rain.md").write_text(
        "# Rain gauge\n\nClean the funnel. Twice a year is enough.\n\n<!-- search:\nRegen pluie 雨量\n-->\n",
        encoding="utf-8",
    )
    (tmp_path / "wind.md").write_text(
        "# Wind head\n\nThe cups must turn. Rain does no harm.\n", encoding="utf-8"
    )
    (tmp_path / "notes.txt").write_text("# Not an article\n\nfunnel\n", encoding="utf-8")
    with closing(KnowledgeBase(tmp_path)) as base:
        yield base


def slugs(articles: list[Article]) -> list[str]:
    return [article.slug for article in articles]


def test_an_article_is_its_title_and_its_text_without_the_search_words(base):
    [article] = base.search("funnel")

    assert (article.slug, article.title) == ("rain", "Rain gauge")
    assert article.text == "Clean the funnel. Twice a year is enough."
    assert article.score > 0


def test_a_word_in_the_title_counts_more_than_one_in_the_text(tmp_path):
    (tmp_path / "a.md").write_text("# Wind\n\nThe gauge is beside it.\n", encoding="utf-8")
    (tmp_path / "b.md").write_text("# Gauge\n\nThe wind is beside it.\n", encoding="utf-8")
    (tmp_path / "c.md").write_text("# Light\n\nNothing else.\n", encoding="utf-8")
    (tmp_path / "d.md").write_text("# Battery\n\nNothing else.\n", encoding="utf-8")
    (tmp_path / "e.md").write_text("# Account\n\nNothing else.\n", encoding="utf-8")
    with closing(KnowledgeBase(tmp_path)) as base:
        best, second = base.search("gauge")

    assert (best.slug, second.slug) == ("b", "a")
    assert best.score > second.score


@pytest.mark.parametrize("query", ["REGEN", "la pluie?", "雨量が0です", "cleaning funnels", "FÚNNEL"])
def test_words_are_found_in_other_languages_and_forms(base, query):
    assert slugs(base.search(query)) == ["rain"]


@pytest.mark.parametrize(
    "query", ["", "   ", "the of and", "1234567", "\x00", "🌧️😡", "?!…", "\ud83d", "zebra"]
)
def test_a_query_without_a_known_word_finds_nothing(base, query):
    assert base.search(query) == []


@pytest.mark.parametrize(
    "query",
    [
        '"funnel',
        "funnel\x00",
        'funnel" OR "cups',
        "funnel AND NOT (",
        "title: funnel",
        "NEAR(funnel cups, 2)",
        "^funnel*",
        "{title text} : funnel",
        "funnel'; DROP TABLE article; --",
        "-funnel +cups",
        "funnel\ud83d",
        "🌧️funnel🌧️",
    ],
)
def test_the_query_language_of_the_index_is_only_text(base, query):
    assert "rain" in slugs(base.search(query))
    assert len(base.search("rain")) == 2, "the index is as it was"


@given(st.text(), st.integers(min_value=-3, max_value=50))
def test_any_text_is_a_query(query, limit):
    found = search(query, limit)

    assert len(found) <= max(limit, 0)
    assert found == sorted(found, key=lambda article: -article.score)


@given(
    st.lists(
        st.sampled_from(['"', "OR", "AND", "NOT", ")", "(", "refund", "E31", "*", "^", ":", "-", "\x00"])
    )
)
def test_any_mixture_of_operators_is_a_query(tokens):
    found = search(" ".join(tokens))

    assert bool(found) == bool({"refund", "E31"} & set(tokens))


def test_a_very_long_query_is_searched_by_its_first_words():
    noise = " ".join(f"nonsense{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}" for n in range(600))

    assert search(f"anemometer {noise}" * 3)[0].slug == "error-e42-wind"
    assert search(f"{noise[: MAX_TERMS * 11]} anemometer") == []
    assert search("x" * 20_000) == []
    assert search('"' * 20_000) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_no_articles_are_returned_when_none_are_wanted(limit):
    assert search("refund", limit) == []


def test_two_articles_are_returned_unless_told_otherwise():
    assert len(search("refund")) == 2
    assert len(search("refund", limit=4)) == 4


def test_searching_from_many_threads_gives_what_one_thread_gets():
    queries = ["refund of the subscription", "E31", "Kündigung", "hub light red", "", "webhook twice"] * 40
    expected = [search(query, 3) for query in queries]

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda query: search(query, 3), queries)) == expected


def test_articles_are_read_by_the_first_search_and_only_once(desk):
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor\n"
        "sys.addaudithook(lambda event, args: event in {'open', 'sqlite3.connect'} and print(event, args[0]))\n"
        "import desk_knowledge; print('imported')\n"
        "with ThreadPoolExecutor(8) as threads: list(threads.map(desk_knowledge.search, ['refund'] * 8))\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=True, timeout=60
    ).stdout

    before, _, after = shown.partition("imported\n")
    assert "warranty.md" not in before
    assert "sqlite3.connect" not in before
    assert after.count("warranty.md") == 1
    assert after.count("sqlite3.connect") == 1
