"""Results of batches as vendors send them: whatever a line holds, it spoils no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from podium.providers import anthropic_batches, google_batches, openai_batches
from podium.providers.batch_lines import Lines, result_of, results_of
from podium.providers.bounds import TooMuch

READERS = [openai_batches._result, anthropic_batches._result, google_batches._result]
ODD = [
    b"null",
    b"[]",
    b'{"custom_id": [1]}',
    b'{"key": {"a": 1}, "response": {}}',
    b'{"custom_id": [1], "result": {"type": "expired"}}',
    b'{"custom_id": "m-0", "response": {"status_code": 1e999, "body": {}}}',
    b'{"custom_id": "m-0", "response": {"status_code": "x", "body": {}}}',
    b'{"custom_id": "m-0", "error": {"code": [1]}}',
    b"[" * 100_000,
    b"9" * 10_000,
    b"\xff\xfe",
]
WHOLE = json.dumps({"custom_id": "m-1", "response": {"status_code": 200, "body": {"a": 1}}}).encode()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "custom_id",
                    "key",
                    "response",
                    "result",
                    "type",
                    "status_code",
                    "body",
                    "error",
                    "code",
                    "usage",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("read", READERS)
@given(line=st.binary() | values.map(lambda value: json.dumps(value).encode()))
@example(line=b'{"custom_id": [1]}')
@example(line=b"[" * 100_000)
def test_no_line_raises_and_what_is_read_has_an_id(read, line):
    found = result_of(line, read)
    assert found is None or isinstance(found.custom_id, str)


@pytest.mark.parametrize("odd", ODD, ids=lambda line: line[:40].decode(errors="replace"))
@pytest.mark.parametrize("read", READERS)
def test_an_odd_line_is_no_result(odd, read):
    assert result_of(odd, read) is None


@pytest.mark.parametrize("odd", ODD, ids=lambda line: line[:40].decode(errors="replace"))
async def test_a_result_stands_beside_an_odd_line(odd):
    body = pieces(odd, b"\n" + WHOLE[:9], WHOLE[9:] + b"\n" + odd)
    found = [each.custom_id async for each in results_of(body, 1_000_000, openai_batches._result)]
    assert found == ["m-1"]


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_lines_are_those_of_the_whole_however_it_comes_in_pieces(parts):
    lines = Lines(1_000)
    found = [line for part in parts for line in lines.of(part)]
    assert [*found, lines.rest] == b"".join(parts).split(b"\n")


@pytest.mark.parametrize("parts", [[b"12345678901"], [b"123456", b"78901"], [b"1\n12345678901\n"]])
def test_a_line_longer_than_a_reply_ends_the_reading(parts):
    lines = Lines(10)
    with pytest.raises(TooMuch, match="more than 10 bytes in one line"):
        for part in parts:
            list(lines.of(part))


def test_odd_figures_of_usage_are_left_out_of_a_result():
    usage = {"input_tokens": -5, "output_tokens": 10**15, "total_tokens": 3}
    line = {"custom_id": "m-0", "response": {"status_code": 200, "body": {"usage": usage}}}
    found = result_of(json.dumps(line).encode(), openai_batches._result)
    assert found is not None
    assert json.loads(found.body or "") == {"usage": {"total_tokens": 3}}
