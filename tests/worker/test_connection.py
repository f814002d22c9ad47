from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ConnectionClosed, UnsendableMessage
from server.worker import connection
from server.worker.connection import ChildConnection, Codec, ParentConnection
from server.worker.messages import (
    AnyEvent,
    Cancel,
    LocalFile,
    Log,
    LogSource,
    Output,
    Predict,
    Ready,
    Shutdown,
    Succeeded,
)

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.builds(LocalFile, st.text("ab/")),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


def broken(error: OSError) -> None:
    raise AssertionError("the connection broke") from error


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(json)
def test_what_is_sent_arrives(value: Any) -> None:
    codec: Codec[AnyEvent] = Codec(AnyEvent)
    frame = codec.encode(Output("a", value, 3))
    assert codec.decode_length(frame[:4]) == len(frame) - 4
    assert codec.decode(frame[4:]) == Output("a", value, 3)


@pytest.mark.parametrize("integer", [2**63, 2**64, -(2**63) - 1, 10**400, -(10**400)])
def test_integers_of_any_size_arrive(integer: int) -> None:
    codec: Codec[AnyEvent] = Codec(AnyEvent)
    message = Output("a", {"deep": [integer, "x"]})
    assert codec.decode(codec.encode(message)[4:]) == message


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (nested(5000), "RecursionError: maximum recursion depth exceeded"),
        ("half a pair: \ud800", "UnicodeEncodeError: 'utf-8' codec can't encode character"),
        (object(), "TypeError: Object of type object is not JSON serializable"),
    ],
)
def test_what_cannot_be_sent_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(UnsendableMessage, match=reason):
        Codec(AnyEvent).encode(Output("a", value))


def test_a_message_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_FRAME_BYTES", 1000)
    codec: Codec[AnyEvent] = Codec(AnyEvent)
    codec.encode(Output("a", "x" * 900))
    with pytest.raises(UnsendableMessage, match="more than the 1000 that one message may have; pass a file instead"):
        codec.encode(Output("a", "x" * 1000))


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", b"\x81\xa4type\xa4Nope", b"\xff" * 50])
def test_what_is_no_message_ends_the_connection(payload: bytes) -> None:
    with pytest.raises(ConnectionClosed, match="sent what is no message"):
        Codec(AnyEvent).decode(payload)


async def test_frames_arrive_in_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    parent = await ParentConnection.open(ours)
    frames = Codec(AnyEvent).encode(Ready()) + Codec(AnyEvent).encode(Succeeded("a", 1.5))

    def send() -> None:
        for index in range(len(frames)):
            theirs.send(frames[index : index + 1])

    await asyncio.to_thread(send)
    assert await parent.receive() == Ready()
    assert await parent.receive() == Succeeded("a", 1.5)
    parent.close()


@pytest.mark.parametrize("cut", [0, 2, 4, 6])
async def test_the_end_is_seen_also_within_a_frame(ends: tuple[socket.socket, socket.socket], cut: int) -> None:
    ours, theirs = ends
    parent = await ParentConnection.open(ours)
    theirs.send(Codec(AnyEvent).encode(Succeeded("a", 1.5))[:cut])
    theirs.close()
    with pytest.raises(ConnectionClosed):
        await parent.receive()
    # To send is harmless: that it is closed, `receive` has told.
    parent.send(Shutdown())
    parent.close()


async def test_a_length_beyond_the_limit_ends_the_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    parent = await ParentConnection.open(ours)
    theirs.send(struct.pack(">I", connection.MAX_FRAME_BYTES + 1))
    with pytest.raises(ConnectionClosed, match="more than the"):
        await parent.receive()
    parent.close()


async def test_a_large_frame_arrives(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    parent = await ParentConnection.open(ours)
    child = ChildConnection(theirs, broken)
    command = Predict("a", {"text": "x" * 20_000_000}, "/tmp")
    parent.send(command)
    assert await asyncio.to_thread(next, child.receive()) == command
    child.send(Output("a", "y" * 20_000_000))
    assert await parent.receive() == Output("a", "y" * 20_000_000)
    child.finish()
    parent.close()


async def test_many_threads_send_at_once(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    parent = await ParentConnection.open(ours)
    child = ChildConnection(theirs, broken)

    def send(id_: str) -> None:
        for number in range(500):
            child.send(Output(id_, number, number))

    threads = [threading.Thread(target=send, args=(id_,)) for id_ in "abcd"]
    for thread in threads:
        thread.start()
    received: dict[str, list[int]] = {id_: [] for id_ in "abcd"}
    for _ in range(2000):
        event = await parent.receive()
        assert isinstance(event, Output)
        received[event.id].append(event.value)
    assert received == {id_: list(range(500)) for id_ in "abcd"}
    for thread in threads:
        thread.join()
    child.finish()
    parent.close()


async def test_sending_waits_for_a_parent_that_does_not_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    child = ChildConnection(theirs, broken)

    def send() -> None:
        for _ in range(600):
            child.send(Log("a", LogSource.STDOUT, "x" * 65536))
            child.send(Output("a", "y" * 1000))

    thread = threading.Thread(target=send)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    parent = await ParentConnection.open(ours)
    text, outputs = "", 0
    while outputs < 600:
        match await parent.receive():
            case Log(text=more):
                text += more
            case Output():
                outputs += 1
    assert len(text) == 600 * 65536
    thread.join()
    child.finish()
    parent.close()


async def test_adjacent_logs_of_one_origin_share_a_frame(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    child = ChildConnection(theirs, broken)
    # The writer thread is kept busy, so that the logs pile up behind.
    child.send(Output("a", "x" * 5_000_000))
    for number in range(10):
        child.send(Log("a", LogSource.STDOUT, f"{number}\n"))
    child.send(Log("a", LogSource.STDERR, "e\n"))
    child.send(Log(None, LogSource.STDERR, "n\n"))
    child.send(Ready())
    parent = await ParentConnection.open(ours)
    assert isinstance(await parent.receive(), Output)
    received = []
    while (event := await parent.receive()) != Ready():
        received.append(event)
    assert received == [
        Log("a", LogSource.STDOUT, "".join(f"{number}\n" for number in range(10))),
        Log("a", LogSource.STDERR, "e\n"),
        Log(None, LogSource.STDERR, "n\n"),
    ]
    child.finish()
    parent.close()


async def test_commands_arrive_until_the_parent_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    parent = await ParentConnection.open(ours)
    child = ChildConnection(theirs, broken)
    parent.send(Cancel("a"))
    parent.send(Shutdown())
    parent.close()
    assert await asyncio.to_thread(list, child.receive()) == [Cancel("a"), Shutdown()]
    child.finish()


def test_the_end_of_the_parent_is_told_to_who_writes(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.close()
    errors: SimpleQueue[OSError] = SimpleQueue()
    child = ChildConnection(theirs, errors.put)
    child.send(Ready())
    assert isinstance(errors.get(), BrokenPipeError)
    # Nobody waits for room that will never be.
    for _ in range(1000):
        child.send(Ready())


def test_a_forked_process_does_not_keep_the_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    child = ChildConnection(theirs, broken)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def speak() -> None:
        try:
            child.send(Ready())
        except ConnectionClosed as error:
            answers.put(str(error))
        signal.pause()

    forked = context.Process(target=speak)
    forked.start()
    assert "cannot speak for it" in answers.get()
    child.finish()
    theirs.close()
    # The forked process still runs, and yet the end is seen.
    assert ours.recv(1) == b""
    forked.kill()
    forked.join()
