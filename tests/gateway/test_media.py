"""Images, recordings and documents as variables of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from podium import Audio, Document, Image, InvalidInput, prompt
from podium.domain.media import Media
from podium.domain.values import TypedCodec, fingerprint
from podium.ports.models import Message, Role, Text
from podium.providers import Script
from tests.gateway.support import scripted

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
RECEIPT = Image(PNG, "image/png")
read = prompt("read", "Read this: {receipt} And be exact.", models=["scripted:a"])


@dataclass
class Claim:
    receipt: Image
    total: float


class Post(BaseModel):
    letter: Document


async def test_an_image_stands_where_its_field_stands():
    script = Script(["12.50"])
    desk = scripted(a=script)
    assert (await desk.ask(read, receipt=RECEIPT)).value == "12.50"
    [request] = script.requests
    assert request.messages == (Message(Role.USER, (Text("Read this: "), RECEIPT, Text(" And be exact."))),)
    assert request.media == (RECEIPT,)


async def test_a_field_of_a_value_and_a_list_of_pages_are_shown_too():
    script = Script(["yes"])
    pages = [RECEIPT, Image(url="https://example.com/2.png")]
    both = prompt("both", "{claim.receipt}{pages} {claim.total}", models=["scripted:a"])
    await scripted(a=script).ask(both, claim=Claim(RECEIPT, 12.5), pages=pages)
    assert script.requests[0].messages[0].parts == (RECEIPT, *pages, Text(" 12.5"))


async def test_the_journal_describes_it_and_does_not_repeat_it():
    desk = scripted(a=Script(["12.50"]))
    await desk.ask(read, receipt=RECEIPT)
    [attempt] = desk.recorded
    assert attempt.prompt == f"[user]\nRead this: [image/png, 10 bytes, {RECEIPT.digest[:23]}] And be exact."


def test_equal_contents_have_equal_fingerprints_and_others_do_not():
    mark = fingerprint({"receipt": RECEIPT}, "x")
    assert mark == fingerprint({"receipt": Image(bytes(bytearray(PNG)), "image/png")}, "x")
    others: list[Media] = [
        Image(PNG + b"1", "image/png"),
        Image(PNG, "image/jpeg"),
        Document(PNG, "image/png"),
        Image(url="https://example.com/1.png"),
    ]
    assert mark not in {fingerprint({"receipt": other}, "x") for other in others}


@pytest.mark.parametrize(
    "value",
    [
        RECEIPT,
        Audio(b"RIFF\xff", "audio/wav"),
        Document(url="https://example.com/a.pdf"),
        Claim(RECEIPT, 1.0),
    ],
)
def test_they_cross_steps_like_any_value(value: Any):
    codec = TypedCodec(type(value), "a value")
    assert codec.decode(codec.encode(value)) == value


def test_they_stand_in_models_too():
    post = Post(letter=Document(b"%PDF \xff", "application/pdf"))
    codec = TypedCodec(Post, "a value")
    assert codec.decode(codec.encode(post)) == post


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Image(PNG), "needs the media type"),
        (lambda: Image(PNG, "audio/wav"), "no media type of Image"),
        (lambda: Document(b"x", "pdf"), "no media type of Document"),
        (lambda: Image(), "exactly one of both"),  # noqa: PLW0108 - made inside the test
        (lambda: Image(PNG, "image/png", "https://example.com"), "exactly one of both"),
        (lambda: Image(url="file:///etc/passwd"), "http"),
        (lambda: Audio(url="http://[bad"), "http"),
    ],
)
def test_what_cannot_be_shown_is_refused_when_it_is_made(make: Any, said: str):
    with pytest.raises(InvalidInput, match=said):
        make()


def test_bytes_are_not_in_what_is_printed():
    assert "PNG" not in repr(RECEIPT)


async def test_bytes_inside_a_value_that_is_shown_as_text_are_refused():
    whole = prompt("whole", "Read {claim}", models=["scripted:a"])
    with pytest.raises(InvalidInput, match=r"fields of their own in the template"):
        await scripted(a=Script(["x"])).ask(whole, claim=Claim(RECEIPT, 1.0))
