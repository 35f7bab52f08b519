"""What a power failure may leave of a file."""

from __future__ import annotations

import random

import pytest

from chaos.shadow import SECTOR, Change, Shadow, left_of

OLD, NEW = b"o" * (4 * SECTOR), b"n" * (4 * SECTOR)


def written(size: int = 4 * SECTOR) -> Change:
    return Change(0, OLD[:size], NEW, size)


def outcomes(content: bytes, shadow: Shadow) -> set[bytes]:
    return {left_of(content, shadow.changes, random.Random(seed)) for seed in range(300)}


def test_what_was_synced_is_left():
    shadow = Shadow([written()])
    shadow.synced()
    assert outcomes(NEW, shadow) == {NEW}


def test_of_what_was_not_any_sectors_may_be_left():
    left = outcomes(NEW, Shadow([written()]))
    assert left == {b"".join(bytes([letter]) * SECTOR for letter in word) for word in words("on", 4)}


def words(letters: str, length: int) -> list[bytes]:
    import itertools

    return ["".join(word).encode() for word in itertools.product(letters, repeat=length)]


def test_a_file_that_grew_may_have_holes_and_may_not_have_grown():
    left = outcomes(NEW, Shadow([written(size=0)]))
    assert b"" in left
    assert NEW in left
    assert any(content.startswith(b"\0" * SECTOR) and content.endswith(b"n") for content in left)


def test_a_cut_takes_place_or_not():
    shadow = Shadow([Change(SECTOR, OLD[SECTOR:], None, len(OLD))])
    assert outcomes(OLD[:SECTOR], shadow) == {OLD, OLD[:SECTOR]}


def test_what_a_failed_sync_dropped_no_later_sync_brings_back():
    shadow = Shadow([written()])
    shadow.dropped(random.Random(3))
    (lost,) = outcomes(NEW, shadow)
    assert lost not in {OLD, NEW}
    shadow.synced()
    assert outcomes(NEW, shadow) == {lost}


def test_what_is_written_again_after_a_failed_sync_is_durable():
    shadow = Shadow([written()])
    shadow.dropped(random.Random(3))
    shadow.changes.append(Change(0, NEW, OLD, len(NEW)))
    shadow.synced()
    assert outcomes(OLD, shadow) == {OLD}


@pytest.mark.parametrize("seed", range(20))
def test_changes_are_undone_and_done_again_in_their_order(seed: int):
    dice = random.Random(seed)
    content, shadow = bytearray(), Shadow()
    for _ in range(30):
        offset, data = dice.randrange(5000), bytes([dice.randrange(1, 255)]) * dice.randrange(1, 3000)
        before = bytes(content[offset : offset + len(data)])
        shadow.changes.append(Change(offset, before, data, len(content)))
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
    left = outcomes(bytes(content), shadow)
    assert bytes(content) in left
    assert b"" in left
