"""Static embeddings from the weights of an installed package."""

from __future__ import annotations

import pytest

from podium.domain.errors import InvalidInput
from podium.providers import embeddings
from podium.providers.embeddings import StaticEmbeddings


@pytest.fixture(scope="module")
def static() -> StaticEmbeddings:
    return StaticEmbeddings()


async def vectors(static: StaticEmbeddings, *texts: str) -> list[bytes]:
    found = [await static.embed(text) for text in texts]
    assert all(found)
    return [each for each in found if each is not None]


async def test_what_is_alike_is_nearer(static):
    asked, *others = await vectors(
        static,
        "My card has been stolen",
        "Somebody stole my card",
        "What is the exchange rate?",
        "My card has been stolen",
    )
    near = static.nearest(asked, others, -1)
    assert [each.index for each in near] == [2, 0, 1]
    assert near[0].similarity == pytest.approx(1, abs=1e-3)
    assert near[1].similarity > near[2].similarity + 0.2


async def test_only_those_that_are_near_enough_are_returned(static):
    asked, same, other = await vectors(static, "card", "card", "exchange rate of the dollar")
    assert [each.index for each in static.nearest(asked, [other, same], 0.9)] == [1]
    assert static.nearest(asked, [], 0.0) == []


async def test_a_vector_is_512_bytes_and_the_same_each_time(static):
    one, other = await vectors(static, "My card", "My card")
    assert one == other
    assert len(one) == 512


async def test_words_in_another_order_have_the_same_vector(static):
    # The reason why the guard looks at the order.
    one, other = await vectors(static, "Ann owes Bob", "Ann owes Bob")
    assert static.nearest(one, [other], 0.999)


@pytest.mark.parametrize("text", ["", "\0", "🙂", "北京" * 500, "a" * 5000])
async def test_any_text_has_a_vector_or_none(static, text):
    vector = await static.embed(text)
    assert (vector is None) == (not text)


async def test_without_the_weights_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(embeddings, "_DISTRIBUTION", "no-such-distribution")
    with pytest.raises(InvalidInput, match=r"podium\[semantic\]"):
        StaticEmbeddings().check()
    with pytest.raises(InvalidInput, match=r"podium\[semantic\]"):
        await StaticEmbeddings().embed("hi")
