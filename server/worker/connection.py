"""Frames on the socket between parent and child.

A frame is 4 bytes of length, big-endian, then one message as MessagePack. Two types are added to those of MessagePack,
as extensions, so that they may sit anywhere inside an input or an output: `LocalFile`, and integers of more than 64
bits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.msgpack import Ext

from server.errors import ConnectionClosed, UnsendableMessage
from server.worker.messages import AnyCommand, AnyEvent, Command, Event, LocalFile, Log

MAX_FRAME_BYTES = 1 << 28
"""The largest message: 256 MiB. Bigger payloads belong into files."""

_LENGTH = struct.Struct(">I")
_FILE = 1
_INTEGER = 2

_BUFFER_BYTES = 1 << 20
"""How much the parent reads ahead."""

_CROWD = 256
"""How many messages may wait for the writer thread before those who send have to wait as well."""

_BUDGET = 1 << 20
"""How many bytes they may have together, about; a larger one waits until no other does."""

_MERGED = 1 << 16
"""How many characters of log one frame may be made of."""

_Message = TypeVar("_Message")
_AnyStruct = TypeVar("_AnyStruct", bound=msgspec.Struct)


class Codec(Generic[_Message]):
    """Messages to frames and back.

    Args:
        received: the type of the messages to decode, a union.
    """

    def __init__(self, received: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_to_extension)
        self._decoder = msgspec.msgpack.Decoder(received, ext_hook=_from_extension)

    def encode(self, message: msgspec.Struct) -> bytes:
        """The frame of a message.

        Raises:
            UnsendableMessage: it is larger than `MAX_FRAME_BYTES`, is nested too deep, or holds what is not JSON.
        """
        try:
            try:
                payload = self._encoder.encode(message)
            except OverflowError:
                payload = self._encoder.encode(_wrap_integers(message))
        except (RecursionError, TypeError, UnicodeEncodeError) as error:
            raise UnsendableMessage(f"{type(error).__name__}: {error}") from error
        if len(payload) > MAX_FRAME_BYTES:
            raise UnsendableMessage(
                f"ValueError: {len(payload)} bytes are more than the {MAX_FRAME_BYTES} that one message may have; "
                "pass a file instead"
            )
        return _LENGTH.pack(len(payload)) + payload

    def decode(self, payload: bytes) -> _Message:
        """The message of a frame without its length.

        Raises:
            ConnectionClosed: it is none; nothing that follows can be trusted.
        """
        try:
            message: _Message = self._decoder.decode(payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ConnectionClosed(f"The other end sent what is no message: {error}") from error
        return message

    def decode_length(self, prefix: bytes) -> int:
        """The length of a frame, from its first 4 bytes.

        Raises:
            ConnectionClosed: it is more than `MAX_FRAME_BYTES`, so they are not the start of a frame.
        """
        (length,) = _LENGTH.unpack(prefix)
        if length > MAX_FRAME_BYTES:
            raise ConnectionClosed(f"The other end announced {length} bytes, more than the {MAX_FRAME_BYTES} allowed.")
        return int(length)


class ParentConnection:
    """The parent's end, for one event loop. `open` makes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._codec: Codec[AnyEvent] = Codec(AnyEvent)

    @classmethod
    async def open(cls, end: socket.socket) -> ParentConnection:
        """Take over one end of a socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_BUFFER_BYTES))

    def send(self, command: Command) -> None:
        """Send a command; nothing happens if the child is gone, which `receive` tells.

        Raises:
            UnsendableMessage: it cannot be written as a frame.
        """
        frame = self._codec.encode(command)
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def receive(self) -> AnyEvent:
        """The next event.

        Raises:
            ConnectionClosed: the child is gone, and everything that it said has been received.
        """
        try:
            prefix = await self._reader.readexactly(_LENGTH.size)
            payload = await self._reader.readexactly(self._codec.decode_length(prefix))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ConnectionClosed("The worker process is gone.") from error
        return self._codec.decode(payload)

    def close(self) -> None:
        """Close the socket."""
        self._writer.close()


class ChildConnection:
    """The child's end, for any number of threads.

    One thread does all writing, so that an exception raised into the thread that sends, as canceling does, cannot
    tear a frame apart.

    Args:
        end: the socket.
        broken: called by that thread when it cannot write any more.
    """

    def __init__(self, end: socket.socket, broken: Callable[[OSError], None]) -> None:
        self._socket = end
        self._broken = broken
        self._codec: Codec[AnyCommand] = Codec(AnyCommand)
        # `put` cannot be interrupted half-way, not even by a signal handler that puts something in itself.
        self._queue: SimpleQueue[bytes | Log | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="darkroom-writer", daemon=True)
        self._writer.start()
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=self._let_go)

    def send(self, event: Event, *, wait: bool = True) -> None:
        """Send an event.

        Args:
            event: what to send.
            wait: whether to wait first while the parent takes in less than this process sends.

        Raises:
            UnsendableMessage: it cannot be written as a frame.
            ConnectionClosed: this process was forked from the one that holds the connection.
        """
        if os.getpid() != self._pid:
            raise ConnectionClosed(
                "This process was forked from the worker and cannot speak for it. "
                "Yield outputs and record metrics where predict itself runs."
            )
        item = event if isinstance(event, Log) else self._codec.encode(event)
        if wait:
            self.wait_for_room(len(item) if isinstance(item, bytes) else len(item.text))
        self._queue.put(item)

    def wait_for_room(self, size: int) -> None:
        """Wait until there is room for a message of `size` bytes."""
        crowd = min(_CROWD, _BUDGET // max(size, 1))
        # Holds no lock, and so may be interrupted.
        while self._queue.qsize() > crowd and self._writer.is_alive():
            time.sleep(0.001)

    def receive(self) -> Iterator[AnyCommand]:
        """The commands, until the parent is gone. For one thread.

        Raises:
            ConnectionClosed: what came is no frame.
        """
        with self._socket.makefile("rb") as file:
            while len(prefix := file.read(_LENGTH.size)) == _LENGTH.size:
                length = self._codec.decode_length(prefix)
                payload = file.read(length)
                if len(payload) < length:
                    return
                yield self._codec.decode(payload)

    def finish(self) -> None:
        """Wait until everything sent so far is written; what is sent afterwards is lost."""
        self._queue.put(None)
        self._writer.join()

    def _write(self) -> None:
        going_on = True
        while going_on:
            items = [self._queue.get()]
            while len(items) < _CROWD and not self._queue.empty():
                items.append(self._queue.get())
            if None in items:
                items = items[: items.index(None)]
                going_on = False
            if items:
                try:
                    self._socket.sendall(b"".join(self._frames(items)))
                except OSError as error:
                    self._broken(error)
                    return

    def _frames(self, items: list[bytes | Log | None]) -> Iterator[bytes]:
        for item in _merge(items):
            yield self._codec.encode(item) if isinstance(item, Log) else item

    def _let_go(self) -> None:
        # In a process that the model forks: as long as that one had the socket, its end would not be seen.
        if (descriptor := self._socket.detach()) >= 0:
            os.close(descriptor)


def _merge(items: list[bytes | Log | None]) -> Iterator[bytes | Log]:
    """The items, adjacent logs of the same origin as one."""
    texts: list[str] = []
    length = 0
    last: Log | None = None
    for item in [*items, None]:
        if last and not (
            isinstance(item, Log)
            and (item.id, item.source) == (last.id, last.source)
            and length + len(item.text) <= _MERGED
        ):
            yield Log(last.id, last.source, "".join(texts))
            texts, length, last = [], 0, None
        if isinstance(item, Log):
            texts.append(item.text)
            length += len(item.text)
            last = item
        elif item is not None:
            yield item


def _to_extension(value: Any) -> Ext:
    match value:
        case LocalFile(path=path):
            return Ext(_FILE, os.fsencode(path))
        case _LargeInteger(integer=integer):
            return Ext(_INTEGER, integer.to_bytes(integer.bit_length() // 8 + 1, "big", signed=True))
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _from_extension(code: int, data: memoryview) -> Any:
    if code == _FILE:
        return LocalFile(os.fsdecode(bytes(data)))
    if code == _INTEGER:
        return int.from_bytes(data, "big", signed=True)
    raise ConnectionClosed(f"The other end sent an extension of the unknown type {code}.")


class _LargeInteger:
    # Not a dataclass: those MessagePack's encoder takes for objects.
    def __init__(self, integer: int) -> None:
        self.integer = integer


def _wrap_integers(message: _AnyStruct) -> _AnyStruct:
    fields = {name: _wrap(getattr(message, name)) for name in message.__struct_fields__}
    return msgspec.structs.replace(message, **fields)


def _wrap(value: Any) -> Any:
    match value:
        case int() if not -(2**63) <= value < 2**64:
            return _LargeInteger(value)
        case dict():
            return {key: _wrap(item) for key, item in value.items()}
        case list():
            return [_wrap(item) for item in value]
    return value
