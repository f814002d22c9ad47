"""Bodies that a careless or hostile client may POST to /predictions, for the predictor `repeat_back`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

JSON = "application/json"


@dataclass(frozen=True)
class Body:
    """A request body.

    Attributes:
        name: unique, and short enough for a test's name.
        content: what is sent.
        content_type: the header's value; `None` sends no such header.
        differs: set where Darkroom does not answer as Cog does.
    """

    name: str
    content: bytes
    content_type: str | None = JSON
    differs: Difference | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        return {} if self.content_type is None else {"Content-Type": self.content_type}


@dataclass(frozen=True)
class Difference:
    """How and why Darkroom answers not as Cog does.

    Attributes:
        status: what it answers.
        reason: what is wrong with Cog's answer.
    """

    status: int
    reason: str


VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "fraction": 1.5,
    "whole float": 3.0,
    "digits": "3",
    "word": "start",
    "empty text": "",
    "list": [],
    "list of numbers": [1],
    "list of text": ["a"],
    "list of lists": [[]],
    "object": {},
    "object of numbers": {"a": 1},
    "object of text": {"a": "b"},
    "object of null": {"a": None},
}

ID_RULE = Difference(
    422, "Cog takes every string and never recovers from some; ids must be safe in URLs and file names"
)
EQUAL_KEYS = Difference(200, "Cog refuses equal keys at the top only; here the last one counts, at the top as below it")
ODD_EVENT = Difference(422, "Cog takes what is no text among the events for a syntax error")
SKIPPED = Difference(400, "Cog does not look into the escapes of what it skips")
NO_TYPE = Difference(415, "Cog takes no notice of a body without a type, in silence")


def bodies() -> Iterator[Body]:
    """All of them."""
    yield from _not_json()
    yield from _wrong_shape()
    yield from _ids()
    yield from _inputs()
    yield from _numbers()
    yield from _content_types()
    yield from _large()


def _not_json() -> Iterator[Body]:
    texts = [
        b"",
        b" \r\n\t",
        b"{",
        b"}",
        b"{{}}",
        b'{"input"',
        b'{"input":',
        b'{"input":{}',
        b'{"input":{"n":1,}}',
        b'{"input":{"n":1}},',
        b'{"input":{"n" 1}}',
        b'{"input":{n:1}}',
        b"{'input':{}}",
        b'{"input":{"text":\'a\'}}',
        b"{} x",
        b"{}{}",
        b"{}\0",
        b"\0",
        b"nope",
        b"tru",
        b"// comment\n{}",
        b'{"input":{"text":"a}}',
        b'{"input":{"text":"\\x"}}',
        b'{"input":{"text":"\\u12"}}',
        b'{"input":{"text":"\\ud800"}}',
        b'{"input":{"text":"\\udc00\\ud800"}}',
        b'{"input":{"text":"a\nb"}}',
        b'{"input":{"text":"\x00"}}',
        b'{"input":{"text":"\xff"}}',
        b'{"input":{"text":"\xed\xa0\x80"}}',
        b'{"input":{"text":"\xc0\xaf"}}',
        b'{"input":{"\xff":1}}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"\x1f\x8b\x08\x00rubbish",
        b"input=1",
        b"<xml/>",
    ]
    for number, text in enumerate(texts):
        yield Body(f"not json {number} {text[:24]!r}", text)


def _wrong_shape() -> Iterator[Body]:
    for name, value in VALUES.items():
        yield Body(f"{name} at the top", json.dumps(value).encode())
        for key in ("input", "context", "webhook", "webhook_events_filter", "unheard_of"):
            differs = (
                ODD_EVENT if key == "webhook_events_filter" and name in ("list of numbers", "list of lists") else None
            )
            yield Body(f"{key}: {name}", json.dumps({key: value}).encode(), differs=differs)
    yield Body("an array in the place of the object", b'["a",{},null,null,["start"]]')
    yield Body("context: list of names", b'{"context":["a","b"]}')
    yield Body("webhook_events_filter: unknown", b'{"webhook_events_filter":["start","stop"]}')
    yield Body("webhook_events_filter: twice the same", b'{"webhook_events_filter":["start","start"]}')
    yield Body("input twice", b'{"input":{"n":1},"input":{"n":2}}', differs=EQUAL_KEYS)
    yield Body("id twice", b'{"id":"a","id":"b"}', differs=EQUAL_KEYS)
    yield Body("an unknown key twice", b'{"a":1,"a":2}')
    yield Body("a skipped number without end", b'{"a":1e999}')
    yield Body("a skipped NaN", b'{"a":NaN}')
    yield Body("a skipped half of a pair", b'{"a":"\\ud800"}', differs=SKIPPED)
    yield Body("a skipped byte", b'{"a":"\xff"}')


def _ids() -> Iterator[Body]:
    for id in ["a", "pred_1", "A-b_c~d:e@f+g=h,i.j", "-", "x" * 200]:
        yield Body(f"id {id[:20]!r}", json.dumps({"id": id}).encode())
    for id in [
        "",
        " ",
        ".",
        "..",
        ".hidden",
        "../x",
        "a/b",
        "/etc",
        "a\\b",
        "é",
        "a b",
        "a\nb",
        "a?b",
        "a#b",
        "a%2fb",
        "😀",
    ]:
        yield Body(f"id {id!r}", json.dumps({"id": id}).encode(), differs=ID_RULE)
    for name, value in VALUES.items():
        if not isinstance(value, str):
            yield Body(f"id: {name}", json.dumps({"id": value}).encode())


def _inputs() -> Iterator[Body]:
    for name, value in VALUES.items():
        for key in ("text", "n", "f", "unheard_of"):
            yield Body(f"input {key}: {name}", json.dumps({"input": {key: value}}).encode())
    yield Body("several are wrong", b'{"input":{"f":"a","n":11,"text":null}}')
    yield Body("an input twice", b'{"input":{"n":99,"n":2}}')
    yield Body("an input without a name", b'{"input":{"":1}}')
    yield Body("text with a NUL", b'{"input":{"text":"a\\u0000b"}}')
    yield Body("text of a pair", b'{"input":{"text":"\\ud83d\\ude00"}}')
    yield Body("text in many scripts", '{"input":{"text":"Ünï çødé 漢字 🍎"}}'.encode())
    yield Body("as deep as may be", b'{"input":{"a":' + b"[" * 125 + b"]" * 125 + b"}}")


def _numbers() -> Iterator[Body]:
    for key in ("n", "f"):
        for number in [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "1e-999",
            "1e2",
            "-0.0",
            "01",
            "+1",
            "1.",
            ".5",
            "0x10",
            "1_000",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "9" * 100,
            "9" * 308,
            "9" * 310,
            "9" * 5000,
            "-" + "9" * 5000,
            "1" + "0" * 4000 + "e-4000",
        ]:
            shown = number if len(number) < 25 else f"{number[:3]} and {len(number) - 3} more"
            yield Body(f"input {key}: {shown}", b'{"input":{"%s":%s}}' % (key.encode(), number.encode()))


def _content_types() -> Iterator[Body]:
    for content_type in [
        "application/json; charset=utf-8",
        'application/json;charset="utf-8"',
        "application/json; charset=latin-1",
        "application/json;",
        "APPLICATION/JSON",
        "application/problem+json",
        "application/vnd.api+json; a=b",
        "text/json",
        "text/plain",
        "text/plain; charset=utf-8",
        "application/jsonx",
        "application/x-json",
        "application",
        "json",
        "/",
        "",
        "*/*",
        "a/b+json",
        "application/json, text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
    ]:
        yield Body(f"content type {content_type!r}", b'{"input":{"text":"y"}}', content_type)
    yield Body("a text type and no body", b"", "text/plain")
    yield Body("no type and no body", b"", None)
    yield Body("no type but a body", b'{"input":{"text":"y"}}', None, differs=NO_TYPE)


def _large() -> Iterator[Body]:
    yield Body("50 MB of nothing", b" " * 50_000_000)
    yield Body("50 MB of brackets", b"[" * 50_000_000)
    yield Body("50 MB of an open text", b'{"input":{"text":"' + b"a" * 50_000_000)
    yield Body("50 MB of an unknown key", b'{"unheard_of":"' + b"a" * 50_000_000 + b'"}')
    yield Body("5 MB of commas", b'{"input":[' + b"0," * 2_500_000 + b"0]}")
    yield Body("5 MB of text where a number belongs", b'{"input":{"n":"' + b"a" * 5_000_000 + b'"}}')
    yield Body("5 MB as the name of an event", b'{"webhook_events_filter":["' + b"a" * 5_000_000 + b'"]}')
    yield Body("a little too deep", b'{"input":{"a":' + b"[" * 126 + b"]" * 126 + b"}}")
    yield Body("too deep", b'{"input":{"a":' + b"[" * 900 + b"]" * 900 + b"}}")
    yield Body("far too deep", b'{"input":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}")
    yield Body("far too deep with objects", b'{"input":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001)
    yield Body("deep where it is skipped", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}")
    yield Body("100000 inputs", json.dumps({"input": {f"name{n}": n for n in range(100_000)}}).encode())
    yield Body("more than the limit", b" " * (100 * (1 << 20) + 1))
