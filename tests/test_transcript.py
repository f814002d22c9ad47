from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.transcript import Transcript


def test_it_is_what_was_appended() -> None:
    transcript = Transcript()
    assert str(transcript) == ""
    transcript.append("a\n")
    assert str(transcript) == "a\n"
    transcript.append("b\n")
    assert str(transcript) == "a\nb\n"


def test_past_the_limit_the_end_is_kept_and_the_loss_told() -> None:
    transcript = Transcript(most=10)
    for number in range(100):
        transcript.append(f"line {number:02}\n")
    assert str(transcript) == "[the first 784 characters were dropped]\nline 98\nline 99\n"


@given(st.lists(st.text(max_size=20)), st.integers(1, 50), st.booleans())
def test_nothing_is_lost_but_what_is_told(texts: list[str], most: int, read_each_time: bool) -> None:
    transcript = Transcript(most)
    for text in texts:
        transcript.append(text)
        if read_each_time:
            str(transcript)
    whole, shown = "".join(texts), str(transcript)
    if shown != whole:
        note, _, kept = shown.partition("\n")
        assert whole.endswith(kept)
        assert note == f"[the first {len(whole) - len(kept)} characters were dropped]"
        assert len(kept) >= most
