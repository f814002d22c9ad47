from __future__ import annotations

import pytest

from server.worker.lines import MAX_LINE_BYTES, Lines


@pytest.mark.parametrize(
    ("pieces", "expected", "rest"),
    [
        ([b"one\n"], ["one\n"], ""),
        ([b"one\ntwo\nth"], ["one\ntwo\n"], "th"),
        ([b"o", b"ne", b"\n"], ["", "", "one\n"], ""),
        ([b" 10%\r", b" 20%\r 3", b"0%\n"], [" 10%\r", " 20%\r", " 30%\n"], ""),
        ([b"windows\r\n"], ["windows\r\n"], ""),
        ([b"caf\xc3", b"\xa9\n"], ["", "café\n"], ""),
        ([b"bad \xff byte\n"], ["bad � byte\n"], ""),
        ([b"cut \xf0\x9f"], [""], "cut �"),
        ([b""], [""], ""),
    ],
)
def test_whole_lines_come_out(pieces: list[bytes], expected: list[str], rest: str) -> None:
    lines = Lines()
    assert [lines.feed(piece) for piece in pieces] == expected
    assert lines.rest() == rest
    assert lines.rest() == ""


def test_a_line_without_end_takes_no_memory() -> None:
    lines = Lines()
    pieces = [lines.feed(b"x" * 1000) for _ in range(1000)]
    assert max(map(len, pieces)) <= MAX_LINE_BYTES + 1000
    assert len("".join(pieces)) + len(lines.rest()) == 1_000_000
