"""The guard of the semantic cache: what two questions must have in common, word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.gateway.cache.guard import difference

SAME = [
    ("How do I reset my password?", "how do i reset my password"),
    ("Please, how can I reset my password?", "How do I reset the password, thanks!"),
    ("WHERE IS MY CARD", "where is my card?"),
    ("My card was stolen", "Hello, my cards were stolen."),
    ("What is the limit of my card?", "what's the limit of my card?"),
    ("My card isn't working", "my card is not working?"),
    ("Pay 1,000 to Ann", "pay 1000 to Ann please"),
    ("I'm blocked", "i am blocked, thank you"),
    ("WHAT DO YOU OWE US", "what do you owe us?"),
    ("Is it open at 5 PM?", "is it open at 5 pm"),
    ("Is it 5 mg?", "is it 5 mg"),
]
EXACT = [
    ("Is 5 enough?", "Is 6 enough?"),
    ("Pay 10.50 now", "Pay 10.05 now"),
    ("It is -5 degrees", "It is 5 degrees"),
    ("I have two cards", "I have three cards"),
    ("My card works", "My card does not work"),
    ("Can I pay?", "Can't I pay?"),
    ("I will pay", "I won't pay"),
    ("It works with a PIN", "It works without a PIN"),
    ("Is it in Paris?", "Is it in London?"),
    ("Paris is nice", "London is nice"),
    ("Mail ann@example.com", "Mail bob@example.com"),
    ("See https://example.com/a", "See https://example.com/b"),
    ("Where is order A-17?", "Where is order A-18?"),
    ("Delete /tmp/a", "Delete /tmp/b"),
    ('Translate "good day"', 'Translate "good night"'),
    ("Translate 'good day'", "Translate 'good night'"),
    ("What does `rm -r a` do?", "What does `rm -r b` do?"),
    ("What does a += b do?", "What does a -= b do?"),
    ("Does x = 1 hold?", "Does x ≠ 1 hold?"),
    ("transfer from savings to checking", "transfer from checking to savings"),
    ("dog bites man", "man bites dog"),
    ("Ann owes Bob", "Bob owes Ann"),
    ("before the holidays", "after the holidays"),
    ("money in", "money out"),
    ("the first of May", "the second of May"),
    ("refund for today", "refund for tomorrow"),
    ("is he right", "is she right"),
    ("who pays", "when is it paid"),
    ("do I owe you money", "do you owe me money"),
    ("who is my doctor", "who is your doctor"),
    ("do we owe you money", "do you owe us money"),
    ("do I owe you money", "do we owe you money"),
    ("is it mine", "is it yours"),
    ("call me doctor", "call my doctor"),
    ("I'm late", "you're late"),
    ("can you see my file", "can I see your file"),
    ("transfer to the US account", "transfer to us account"),
    ("what does IT do for the invoice", "what does it do for the invoice"),
    ("Is it 5 mg?", "Is it 5 Mg?"),
    ("Is it five mg?", "Is it five Mg?"),
    ("Is 5 m enough?", "Is 5 M enough?"),
    ("Is 3 kB enough?", "Is 3 kb enough?"),
    ("Is it 5mg?", "Is it 5Mg?"),
    ("all cards are blocked", "some cards are blocked"),
    ("Must I verify my identity?", "Can I verify my identity?"),
    ("北京天气", "上海天气"),
    ("What is 2*(3+4)?", "What is 2*3+4?"),
    ("What is 5!?", "What is 5?"),
    ("What is 5 - 3?", "What is 5 3?"),
    ("Is it 3 : 4?", "Is it 3 4?"),
    ("Is id aBcD right?", "Is id abcd right?"),
    ("Is id aB3 right?", "Is id ab3 right?"),
    ("Fix if x:\n  a\n  b", "Fix if x:\n  a\nb"),
]
CONTENT = [
    ("How do I block my card?", "How do I unblock my card?"),
    ("flights to paris", "flights to london"),
    ("cheap flights", "flights"),
    ("Where is the news?", "Where is the new?"),
    ("Is my deposit pending?", "Is my transfer pending?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_harmless_words_make_no_difference(one, other):
    assert difference(one, other) is None
    assert difference(other, one) is None


@pytest.mark.parametrize(("one", "other"), EXACT)
def test_what_must_be_the_same_is(one, other):
    for found in (difference(one, other), difference(other, one)):
        assert found is not None
        assert found.exact, found


@pytest.mark.parametrize(("one", "other"), CONTENT)
def test_another_word_is_another_content(one, other):
    found = difference(one, other)
    assert found is not None
    assert not found.exact, found


any_text = st.text(max_size=60)
words = st.lists(
    st.sampled_from(
        [
            "card",
            "top-up",
            "transfer",
            "Ann",
            "my",
            "the",
            "not",
            "5",
            "17.50",
            "from",
            "to",
            "'x",
            "y'",
            '"a',
            'b"',
            "blocked",
            "is",
            "how",
            "paris",
            "A-1",
        ]
    ),
    min_size=1,
    max_size=8,
).map(" ".join)
mixed = any_text | words


@given(mixed)
def test_a_text_is_like_itself(text):
    assert difference(text, text) is None


@given(mixed, mixed)
def test_the_guard_is_the_same_in_both_directions(one, other):
    there, back = difference(one, other), difference(other, one)
    assert (there is None) == (back is None)
    assert there is None or back is None or there.exact == back.exact


plain = st.lists(
    st.sampled_from(["card", "transfer", "my", "the", "blocked", "is", "how", "paris", "please"]), max_size=8
)


@given(plain, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 8))
def test_no_other_number_passes_wherever_it_stands(said, one, other, place):
    def asked(number: int) -> str:
        return " ".join([*said[:place], str(number), *said[place:]])

    assert (difference(asked(one), asked(other)) is None) == (one == other)


@given(plain, st.sampled_from(["not", "never", "without", "Ann", "7", "`x`", "tomorrow"]), st.integers(0, 8))
def test_nothing_that_counts_can_be_added(said, added, place):
    found = difference(" ".join(said), " ".join([*said[:place], added, *said[place:]]))
    assert found is not None
    assert found.exact


@given(st.lists(st.sampled_from(["Ann", "Bob", "3", "4"]), min_size=2, max_size=4, unique=True).flatmap(
    lambda names: st.tuples(st.just(names), st.permutations(names))
))  # fmt: skip
def test_names_and_numbers_keep_their_places(pair):
    one, other = pair
    assert (difference(" owes ".join(one), " owes ".join(other)) is None) == (list(one) == list(other))


@given(
    st.text(st.characters(categories=["Lu", "Ll", "Lt", "Lo", "Lm", "Nd"]), min_size=1, max_size=12), words
)
def test_any_new_word_makes_a_difference_or_is_a_harmless_one(word, text):
    from podium.gateway.cache.guard import _HARMLESS

    found = difference(text, f"{text} {word}")
    assert found is not None or word.casefold() in _HARMLESS
