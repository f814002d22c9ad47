"""The operator's log: one line an event on standard error, as text or as JSON.

Whoever logs uses `logging` as ever. Facts go into `extra`; those that may hold a prompt come from a function,
`extra={"private": lambda: {...}}`, which is called only if the operator asks for them; `event` among them takes the
place of the message.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from typing import Any, TextIO

from opentelemetry import trace
from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import EventRenamer, JSONRenderer, TimeStamper
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict, Processor

from server.tracebacks import sections, what_it_is, what_it_says

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 4096
"""In characters; Docker cuts lines of 16 KiB."""

_FIRST = ("timestamp", "level", "logger", "message", "prediction", "device")
_CHATTY = ("httpx", "httpcore")
"""They log every request that they make, with its URL."""


def start(level: str, *, as_json: bool, with_prompts: bool) -> None:
    """Log to standard error, `warnings` and what uvicorn says included.

    Args:
        level: the least severe, a name of `logging` in any case.
        as_json: one JSON object a line, an exception that ends the process included; else text, in colour on a
            terminal unless NO_COLOR is set.
        with_prompts: whether to log what is private.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(as_json, with_prompts, colours=_takes_colours(sys.stderr)))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for library in _CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)
    if as_json:
        sys.excepthook = lambda *error: logger.critical("An error of the server's own ends it", exc_info=error)


@contextmanager
def held_back() -> Iterator[None]:
    """Log what is logged inside only at the end of the block, for within it `start` may be called."""
    root = logging.getLogger()
    held = MemoryHandler(sys.maxsize, flushLevel=sys.maxsize)
    root.addHandler(held)
    try:
        yield
    finally:
        root.removeHandler(held)
        for record in held.buffer:
            origin = logging.getLogger(record.name)
            if origin.isEnabledFor(record.levelno):
                origin.handle(record)


def _takes_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _formatter(as_json: bool, with_prompts: bool, *, colours: bool) -> logging.Formatter:
    def settle(_: Any, __: str, event: EventDict) -> EventDict:
        return _settled(event, with_prompts)

    facts: list[Processor] = [merge_contextvars, ExtraAdder(), add_log_level, add_logger_name, settle, _add_trace]
    clean: list[Processor] = [ProcessorFormatter.remove_processors_meta]
    if as_json:
        clean += [TimeStamper(fmt="iso", utc=True), EventRenamer("message"), _ordered, JSONRenderer()]
    else:
        console = ConsoleRenderer(colors=colours, sort_keys=False, exception_formatter=plain_traceback)
        clean += [TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False), _escaped, console]
    return ProcessorFormatter(processors=[*facts, *clean])


def _settled(event: EventDict, with_prompts: bool) -> EventDict:
    private = event.pop("private", dict)
    # uvicorn's, the message once more.
    event.pop("color_message", None)
    if (info := event.pop("exc_info", None)) and info[1]:
        what = what_it_says if with_prompts else what_it_is
        event["exception"] = "".join(place + what(error) for error, place in sections(info[1], info[2])).rstrip()
    facts = {**event, **(private() if with_prompts else {})}
    message = facts["event"]
    if event["logger"] == "py.warnings":
        # It comes with the line of source, on a line of its own.
        message = " ".join(message.split())
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}... ({len(message)} characters)"
    return {name: value for name, value in {**facts, "event": message}.items() if value is not None}


def _add_trace(_: Any, __: str, event: EventDict) -> EventDict:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _ordered(_: Any, __: str, event: EventDict) -> Mapping[str, Any]:
    return {**{name: event[name] for name in _FIRST if name in event}, **event}


def _escaped(_: Any, __: str, event: EventDict) -> EventDict:
    """Show what could pretend to be another line, or move the terminal's cursor, as an escape of Python's."""
    # Behind what is indented stands no line of the log's own.
    exception = event.pop("exception", "").splitlines()
    shown = {name: _printable(value) if isinstance(value, str) else value for name, value in event.items()}
    return shown | ({"exception": "\n".join(f"    {_printable(line)}" for line in exception)} if exception else {})


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
