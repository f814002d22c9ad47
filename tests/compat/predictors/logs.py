"""What is written to standard output and error becomes the prediction's logs, in order."""

import logging
import sys
import warnings

from cog import BasePredictor

handler_logger = logging.getLogger("with.handler")
handler_logger.addHandler(logging.StreamHandler())
handler_logger.setLevel(logging.DEBUG)
handler_logger.propagate = False


def both() -> None:
    print("out 1")
    print("err 1", file=sys.stderr)
    print("out 2")
    print("err 2", file=sys.stderr)


def lines() -> None:
    sys.stdout.write("a\nb\n")
    sys.stdout.writelines(["c\n", "d\n"])
    print("e", "f", sep="\n")
    print()


def flush() -> None:
    print("unflushed")
    print("flushed", flush=True)
    sys.stdout.flush()


def pieces() -> None:
    print("one ", end="")
    print("line ", end="")
    print("in pieces")


def unicode() -> None:
    print("é 漢 🍎 \u2028 \x00 \x1b[31mred\x1b[0m")


def carriage() -> None:
    for percent in (0, 50, 100):
        sys.stderr.write(f"\r{percent}%")
    sys.stderr.write("\n")


def windows() -> None:
    sys.stdout.write("a\r\nb\r\n")


def levels() -> None:
    logging.debug("debug")
    logging.info("info")
    logging.warning("warning %d", 1)
    logging.error("error")


def handler() -> None:
    handler_logger.debug("to my handler")


def traceback() -> None:
    try:
        raise ValueError("caught")
    except ValueError:
        logging.exception("logged")


def warning() -> None:
    warnings.warn("careful", stacklevel=1)


def long() -> None:
    print("x" * 200000)


def many() -> None:
    for number in range(5000):
        print(f"line {number}")


def buffer() -> None:
    sys.stdout.buffer.write(b"bytes\n")
    sys.stdout.buffer.flush()


def returned() -> None:
    print(sys.stdout.write("abc\n"))


def nothing() -> None:
    pass


class Predictor(BasePredictor):
    def predict(self, kind: str) -> str:
        globals()[kind]()
        return kind


REQUESTS = [
    {"input": {"kind": "both"}},
    {
        "input": {"kind": "lines"},
        "ours": {"status": "succeeded", "error": ..., "output": "lines", "logs": "a\nb\nc\nd\ne\nf\n\n"},
        "because": "STREAM_METHODS",
    },
    {"input": {"kind": "flush"}},
    {"input": {"kind": "pieces"}},
    {"input": {"kind": "unicode"}},
    {"input": {"kind": "carriage"}},
    {"input": {"kind": "windows"}},
    {"input": {"kind": "levels"}},
    {"input": {"kind": "handler"}},
    {"input": {"kind": "traceback"}},
    {"input": {"kind": "warning"}},
    {"input": {"kind": "long"}},
    {"input": {"kind": "many"}},
    {"input": {"kind": "returned"}},
    {"input": {"kind": "nothing"}},
    {"input": {"kind": "buffer"}, "ours": {"logs": "bytes\n"}, "because": "CHILD_OUTPUT"},
]
