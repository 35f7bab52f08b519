"""The ladder reads JSON in whatever way models write it, says with how much help, and takes no part for the whole."""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.domain.answers import FailureKind
from podium.domain.quality import Verdict
from podium.gateway.output.allowance import SECONDS
from podium.gateway.output.ladder import read_json
from podium.gateway.output.members import by_members
from podium.gateway.output.repair import repaired
from podium.gateway.output.results import Reading, Unusable, Usable

SLOWEST = 0.1
"""Seconds of processor time: twice what is promised, because machines that run tests are slower than others."""
CLEAN, DEGRADED, SUSPECT = Verdict.CLEAN, Verdict.DEGRADED, Verdict.SUSPECT


def value_and_verdict(reading: Reading) -> tuple[Any, Verdict]:
    assert isinstance(reading, Usable), reading
    assert bool(reading.quality.reasons) is (reading.quality.verdict is not CLEAN)
    return reading.value, reading.quality.verdict


def kind(reading: Reading) -> FailureKind:
    assert isinstance(reading, Unusable), reading
    assert reading.problem
    return reading.kind


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        ' \n{"a": 1}\n ',
        '\ufeff{"a": 1}',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        '```JSON\n{"a": 1}```',
        '```{"a": 1}```',
        'Sure! Here it is:\n```json\n{"a": 1}\n```\nAnything else?',
        'The answer is {"a": 1}. Anything else?',
        '```json\n{"a": 1}',
        'First I thought\n```json\n{"a": 0}\n```\nbut it is\n```json\n{"a": 1}\n```',
        '```python\nprint("{}")\n```\n```json\n{"a": 1}\n```',
    ],
)
def test_json_that_is_valid_is_clean_wherever_it_stands(text: str):
    assert value_and_verdict(read_json(text)) == ({"a": 1}, CLEAN)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}),
        ('```json\n{"a":\n"one\ntwo"}\n```', {"a": "one\ntwo"}),
        (r'{"a": "cost \$5 \(net\)"}', {"a": r"cost \$5 \(net\)"}),
        (r'{"a": "C:\Users\ada \u12"}', {"a": r"C:\Users\ada \u12"}),
        ('{"a": "\\d+\n\\\\d"}', {"a": "\\d+\n\\d"}),
    ],
)
def test_raw_control_characters_and_stray_backslashes_are_read_as_text(text: str, value: Any):
    assert value_and_verdict(read_json(text)) == (value, DEGRADED)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": "x",}', {"a": 1, "b": "x"}),
        ("{'a': 'x', 'b': True, 'c': None}", {"a": "x", "b": True, "c": None}),
        ('{a: "x"}', {"a": "x"}),
        ('{"a": "x" "b": "y"}', {"a": "x", "b": "y"}),
        ('{"a": "he said "hi" to me", "b": 1}', {"a": 'he said "hi" to me', "b": 1}),
        ('{"a": "64" tall, 4 x 64" = 256"", "b": "256"}', {"a": '64" tall, 4 x 64" = 256"', "b": "256"}),
        ('{"a": "no end,\n "b": "x"}', {"a": "no end", "b": "x"}),
        ('{"a": "a curly end\u201d,\n "b": "x"}', {"a": "a curly end", "b": "x"}),
        ('{"a": `in ticks, "so"`, "b": 1}', {"a": 'in ticks, "so"', "b": 1}),
        (r'{"a": "\"so\" "he" said\n\(x\)", "b": "x"}', {"a": '"so" "he" said\n\\(x\\)', "b": "x"}),
    ],
)
def test_broken_json_is_repaired_and_suspect(text: str, value: Any):
    assert value_and_verdict(read_json(text)) == (value, SUSPECT)


@pytest.mark.parametrize(
    "text",
    [
        r'{"a": "\frac{1}{2}"}',
        r'{"a": "\beta"}',
        r'{"a": "3 \times 4"}',
        r'{"a": "\text{km}"}',
        r'{"a": "\right)"}',
        r'{"\frac": 1}',
        r'{"a": ["\u0007"]}',
    ],
)
def test_control_characters_in_valid_json_are_suspect(text: str):
    assert value_and_verdict(read_json(text)) == (json.loads(text), SUSPECT)


@pytest.mark.parametrize("text", [r'{"a": "one\ntwo\r\nthree\tfour"}', r'{"a": "\\frac"}'])
def test_line_breaks_tabs_and_proper_backslashes_are_not(text: str):
    assert value_and_verdict(read_json(text)) == (json.loads(text), CLEAN)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "he said "x", "b": 1, "b": 2}',
        '{"a": "the last "string has no end}',
        'Well {"a": "x" y "z", "b": nothing}',
    ],
)
def test_broken_strings_that_could_mean_several_things_are_not_repaired_by_members(text: str):
    with pytest.raises(ValueError, match=r"twice|no end|neither|not one"):
        by_members(text)


TRUNCATED = [
    '{"a": "one',
    '{"a": ["one", ',
    '{"a": {"b": 1}',
    '{"a": {"b": 1}, "c": "',
    '```json\n{"a": "one',
    'Here it is: {"a": [1, 2',
    '[{"a": 1}, {"b": 2}',
    '[{"a": 1},',
]


@pytest.mark.parametrize("text", TRUNCATED)
def test_json_that_ends_in_the_middle_is_truncated_and_never_repaired(text: str):
    assert kind(read_json(text)) is FailureKind.TRUNCATED


@pytest.mark.parametrize("text", ['{"code": "```{}```', '{"a": 1, "b": "{\\"c\\": 1}', '{"a": "{}'])
def test_json_inside_a_string_that_never_ends_does_not_pass_for_the_whole(text: str):
    assert kind(read_json(text)) is FailureKind.INVALID_SYNTAX


@pytest.mark.parametrize(
    "text", ['{"a": "one', '{"a": 1,}', "{'a': 1}", '```json\n{"a": 1}', "12", '"one"', "nothing like it", ""]
)
def test_what_the_output_limit_cut_off_is_truncated_whatever_it_looks_like(text: str):
    assert kind(read_json(text, cut_off=True)) is FailureKind.TRUNCATED


def test_json_that_was_complete_before_the_output_limit_counts_with_a_remark():
    value, verdict = value_and_verdict(read_json('{"a": 1}\n\n\n\n', cut_off=True))
    assert (value, verdict) == ({"a": 1}, DEGRADED)


@pytest.mark.parametrize("text", ["", " \n\t ", "\ufeff"])
def test_nothing_is_empty(text: str):
    assert kind(read_json(text)) is FailureKind.EMPTY


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I would say it is a refund.", "no JSON object"),
        ("{1, 2}", "not valid"),
        ('{"a": }', "not valid"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1, "a": 2}', "given twice"),
        (r'{"a": "\ud83d"}', "surrogate"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_invalid_and_says_why(text: str, problem: str):
    reading = read_json(text)
    assert kind(reading) is FailureKind.INVALID_SYNTAX
    assert isinstance(reading, Unusable)
    assert problem in reading.problem


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1" * 5000])
def test_what_is_no_finite_number_is_at_most_suspect_text(number: str):
    assert value_and_verdict(read_json(f'{{"a": {number}}}')) == ({"a": number.lstrip("-")}, SUSPECT)


def test_a_key_given_twice_with_one_value_is_no_contradiction():
    assert value_and_verdict(read_json('{"a": 1, "a": 1}')) == ({"a": 1}, CLEAN)


def test_a_reply_beyond_the_size_limit_is_not_looked_into():
    assert kind(read_json('{"a": "äää"}', longest=10)) is FailureKind.INVALID_SYNTAX
    assert value_and_verdict(read_json('{"a": "äää"}', longest=15))[1] is CLEAN


@pytest.mark.parametrize(
    "text", ['{"a": , "b": "x"}', '{"a" "b": 1}', '{"a": tru, "b": "x"}', "{\"a\": x, 'b'}"]
)
def test_a_repair_invents_nothing(text: str):
    try:
        value = repaired(text)
    except ValueError:
        return
    for leaf in [*value, *value.values()]:
        assert str(leaf) in text
        assert leaf != ""
        assert leaf is not None


def seconds_to_read(text: str, *, cut_off: bool = False) -> float:
    """The least processor time that this takes, of a few tries where the first says more of the machine."""
    took = []
    for _ in range(3):
        start = time.thread_time()
        read_json(text, cut_off=cut_off)
        took.append(time.thread_time() - start)
        if took[-1] <= SLOWEST:
            break
    return min(took)


def filled(part: str, size: int, around: tuple[str, str]) -> str:
    return around[0] + part * (size // len(part)) + around[1]


NOT_JSON = [
    '{"a": 1' + " " * 900_000 + "x}",
    '{"a": "b' + "` " * 400_000 + "x",
    '{"a": "' + "\\" * 900_000 + '" x}',
    '{"a": ' + '"' * 900_000 + " x}",
    "```{" * 200_000,
]


@pytest.mark.parametrize("text", NOT_JSON, ids=range(len(NOT_JSON)))
def test_long_texts_that_are_no_json_are_given_up_soon(text: str):
    assert isinstance(read_json(text), Unusable)
    assert seconds_to_read(text) <= SLOWEST


PARTS = [
    "{", "}", "[", "]", "{}", "[]", "{},", "[],", '"', '""', '"" ', "\\", '\\"', "```", "```{", "```json\n{}\n```\n",
    " ", "\n", ",", ":", '"a":', '"a":1,', '"a": "x" "b": ', '\n"a": ', "1,", "1.5,", "7", "(", "/*", "'a':'b',", '{"a":1},',
    '{"a":"b"}', '["x"],', '"a"b"', '"a";', "\\frac", "\\u0041", "\\ud800", "\x00", "\ud800", "\ud83d\ude00", "“",
]  # fmt: skip
AROUND = [
    ("", ""),
    ("{", "}"),
    ('{"a": "', '"}'),
    ('{"a": [', "]}"),
    ('{"a": "\\d', '"}'),
    ('x {"a": "', '" b }'),
]


@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
def test_no_repetition_of_what_json_is_made_of_takes_long(part: str):
    for around in AROUND:
        assert seconds_to_read(filled(part, 240_000, around)) <= SLOWEST, around
    # What is short enough to be repaired takes longest of all.
    assert seconds_to_read(filled(part, 30_000, AROUND[3])) <= SLOWEST
    assert seconds_to_read(filled(part, 240_000, AROUND[2]), cut_off=True) <= SLOWEST
    assert seconds_to_read(filled(part, 900_000, AROUND[3])) <= 2 * SLOWEST


def test_a_value_with_more_parts_than_a_model_can_write_is_refused_and_one_with_fewer_read():
    within, beyond = list(range(60_000)), list(range(70_000))
    assert value_and_verdict(read_json(json.dumps(within))) == (within, CLEAN)
    reading = read_json(json.dumps(beyond))
    assert reading == Unusable(FailureKind.INVALID_SYNTAX, "the JSON has more than 64000 values")
    prose = json.dumps({"a": "one, two, [three], " * 40_000})
    assert value_and_verdict(read_json(prose))[1] is CLEAN


@pytest.mark.parametrize(
    "text", ["[" + "1," * 70_000, '{"a": "' + "x" * 1_000_000, "[" * 100], ids=["values", "bytes", "levels"]
)
def test_what_is_beyond_a_limit_and_cut_off_is_called_cut_off(text: str):
    reading = read_json(text, cut_off=True)
    assert kind(reading) is FailureKind.TRUNCATED
    assert isinstance(reading, Unusable)
    assert reading.problem.startswith("the reply was cut off, and the ")


def test_more_values_than_are_read_and_no_end_is_cut_off_though_nobody_said_so():
    assert kind(read_json("[" + "1," * 70_000)) is FailureKind.TRUNCATED


SLOW_TO_REPAIR = [
    '{"a": [' + '"a"b"' * 2000 + "]}",
    '{"a":["' + '"a";' * 2001 + '"]}',
    '{"a":' + "(" * 20_000 + "}",
    '{"a":["' + '{"a":"b"}' * 2000 + '"]}',
    '{"a": "' + "x" * 250_000 + '" b }',
    "{" * 3000 + '"' + "}" * 3000,
]


@pytest.mark.parametrize("text", SLOW_TO_REPAIR, ids=range(len(SLOW_TO_REPAIR)))
def test_a_repair_stops_after_its_time(text: str):
    assert seconds_to_read(text) <= SLOWEST


def test_a_repair_stops_even_when_its_time_ends_inside_a_finalizer():
    seen: list[str] = []

    def finalizer(phase: str, info: dict[str, int]) -> None:
        if sys.getprofile() is not None and not seen:
            end = time.perf_counter() + 2 * SECONDS
            while time.perf_counter() < end:
                pass
            seen.append(phase)

    threshold = gc.get_threshold()
    gc.callbacks.append(finalizer)
    gc.set_threshold(10)
    try:
        start = time.thread_time()
        assert isinstance(read_json(SLOW_TO_REPAIR[0]), Unusable)
        took = time.thread_time() - start
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(finalizer)
    assert seen
    assert took < 0.5


def test_a_repair_has_a_limit_of_size():
    within, beyond = '{a: "' + "x" * 100 + '"}', '{a: "' + "x" * 300_000 + '"}'
    assert repaired(within)
    with pytest.raises(ValueError, match="too long"):
        repaired(beyond)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
# Text made of what JSON is made of breaks more than text made of anything.
NEARLY_JSON = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", '"', ",", ":", "\\", "```", "json", "\n", " ", "a", "1", "true", "é", "\ud800"]
    )
).map("".join)


@settings(deadline=None)
@given(st.text() | NEARLY_JSON, st.booleans())
def test_any_text_has_a_reading(text: str, cut_off: bool):
    reading = read_json(text, cut_off=cut_off)
    assert isinstance(reading, Usable | Unusable)
    if isinstance(reading, Usable):
        json.dumps(reading.value, allow_nan=False, ensure_ascii=False).encode()


@settings(deadline=None, max_examples=60)
@given(NEARLY_JSON, st.integers(1, 30_000), st.sampled_from(AROUND), st.booleans())
def test_no_text_takes_long(part: str, times: int, around: tuple[str, str], cut_off: bool):
    text = around[0] + (part * times)[:240_000] + around[1]
    assert seconds_to_read(text, cut_off=cut_off) <= SLOWEST


@settings(deadline=None)
@given(OBJECTS, st.sampled_from([None, 2]), st.booleans())
def test_every_json_object_is_read_exactly(value: dict[str, Any], indent: int | None, ascii_only: bool):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    reading = read_json(text)
    surrogates = any(0xD800 <= ord(sign) < 0xE000 for sign in json.dumps(value, ensure_ascii=False))
    if not surrogates:
        assert isinstance(reading, Usable)
        assert reading.value == value


@settings(deadline=None)
@given(
    OBJECTS.filter(bool) | st.lists(OBJECTS, min_size=1, max_size=3), st.data(), st.sampled_from([None, 1])
)
def test_no_prefix_of_json_passes_for_the_whole(value: Any, data: st.DataObject, indent: int | None):
    text = json.dumps(value, indent=indent)
    prefix = text[: data.draw(st.integers(1, len(text) - 1))]
    assert kind(read_json(prefix)) in {FailureKind.TRUNCATED, FailureKind.INVALID_SYNTAX}
    assert kind(read_json(prefix, cut_off=True)) is FailureKind.TRUNCATED
