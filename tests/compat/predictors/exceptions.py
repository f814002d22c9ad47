"""Exceptions of every kind: the prediction fails, the server goes on."""

import asyncio
import sys

from cog import BasePredictor, CancelationException


class Custom(Exception):
    pass


class Outer:
    class Nested(Exception):
        pass


class Rude(BaseException):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoText(Exception):
    def __str__(self) -> str:
        return None


class Fields(Exception):
    def __init__(self, a: int, b: int) -> None:
        self.a, self.b = a, b


def chained() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


def noted() -> None:
    error = ValueError("with a note")
    error.add_note("the note")
    raise error


def recursion() -> None:
    recursion()


KINDS = {
    "value": lambda: int("x"),
    "custom": lambda: raise_(Custom("mine")),
    "nested": lambda: raise_(Outer.Nested("deep")),
    "empty": lambda: raise_(ValueError()),
    "several": lambda: raise_(ValueError("a", 1)),
    "key": lambda: {}["missing"],
    "lines": lambda: raise_(ValueError("one\ntwo\n")),
    "unicode": lambda: raise_(ValueError("é 漢 🍎 \x00")),
    "surrogate": lambda: raise_(ValueError("\ud800")),
    "mute": lambda: raise_(Mute("x")),
    "no text": lambda: raise_(NoText("x")),
    "fields": lambda: raise_(Fields(1, 2)),
    "class": lambda: raise_(ValueError),
    "chained": chained,
    "noted": noted,
    "assert": lambda: raise_(AssertionError("not so")),
    "os": lambda: open("/nowhere/at/all"),
    "syntax": lambda: compile("a b", "<there>", "exec"),
    "import": lambda: __import__("no_such_module"),
    "unicode error": lambda: b"\xff".decode(),
    "memory": lambda: raise_(MemoryError()),
    "recursion": recursion,
    "timeout": lambda: raise_(TimeoutError("late")),
    "group": lambda: raise_(ExceptionGroup("both", [ValueError("a"), Custom("b")])),
    "base": lambda: raise_(Rude("base")),
    "exit": lambda: sys.exit(),
    "exit 0": lambda: sys.exit(0),
    "exit 3": lambda: sys.exit(3),
    "exit text": lambda: sys.exit("bye"),
    "quit": lambda: quit(),
    "interrupt": lambda: raise_(KeyboardInterrupt()),
    "generator exit": lambda: raise_(GeneratorExit()),
    "stop": lambda: raise_(StopIteration("a")),
    "stop async": lambda: raise_(StopAsyncIteration()),
    "not implemented": lambda: raise_(NotImplementedError),
    "long": lambda: raise_(ValueError("x" * 100000)),
    "canceled by asyncio": lambda: raise_(asyncio.CancelledError("me")),
    "canceled by cog": lambda: raise_(CancelationException("me")),
}


def raise_(error) -> None:
    raise error


class Predictor(BasePredictor):
    def predict(self, kind: str) -> str:
        print("before")
        KINDS[kind]()
        return "nothing was raised"


REQUESTS = [
    {"input": {"kind": "value"}},
    {"input": {"kind": "custom"}},
    {"input": {"kind": "nested"}},
    {"input": {"kind": "empty"}},
    {"input": {"kind": "several"}},
    {"input": {"kind": "key"}},
    {"input": {"kind": "lines"}},
    {"input": {"kind": "unicode"}},
    {"input": {"kind": "surrogate"}},
    {"input": {"kind": "mute"}},
    {"input": {"kind": "no text"}},
    {"input": {"kind": "fields"}},
    {"input": {"kind": "class"}},
    {"input": {"kind": "chained"}},
    {"input": {"kind": "noted"}},
    {"input": {"kind": "assert"}},
    {"input": {"kind": "os"}},
    {"input": {"kind": "syntax"}},
    {"input": {"kind": "import"}},
    {"input": {"kind": "unicode error"}},
    {"input": {"kind": "memory"}},
    {"input": {"kind": "recursion"}},
    {"input": {"kind": "timeout"}},
    {"input": {"kind": "group"}},
    {"input": {"kind": "base"}},
    {"input": {"kind": "exit"}},
    {"input": {"kind": "exit 0"}},
    {"input": {"kind": "exit 3"}},
    {"input": {"kind": "exit text"}},
    {"input": {"kind": "quit"}},
    {"input": {"kind": "interrupt"}},
    {"input": {"kind": "generator exit"}},
    {"input": {"kind": "stop"}},
    {"input": {"kind": "stop async"}},
    {"input": {"kind": "not implemented"}},
    {"input": {"kind": "long"}},
    {"input": {"kind": "canceled by asyncio"}},
    {"input": {"kind": "canceled by cog"}},
    {"input": {"kind": "fine"}},
]
