"""`current_scope()`: the context of the running prediction, and its metrics."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from server.worker.messages import MetricMode

MAX_NAME_LENGTH = 128
MAX_NAME_SEGMENTS = 4

Emit = Callable[[str, Any, MetricMode], None]
"""Takes the name, the JSON value and the mode of a metric that was recorded."""

_MODES = {
    None: MetricMode.REPLACE,
    "replace": MetricMode.REPLACE,
    "incr": MetricMode.INCREMENT,
    "increment": MetricMode.INCREMENT,
    "append": MetricMode.APPEND,
}


class MetricRecorder:
    """Records the metrics of one prediction; outside a prediction it records nothing.

    A name has up to 4 segments between dots, each a level of nesting in the response, and 128 characters; a segment is
    made of ASCII letters, digits and single underscores, begins with a letter and does not end with an underscore. A
    value is a bool, int, float, str, list or dict, and keeps its type until the metric is deleted.

    Args:
        emit: told of each metric, by one thread at a time; `None` makes a recorder that records nothing.
    """

    __slots__ = ("_emit", "_lock", "_types")

    def __init__(self, emit: Emit | None) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._types: dict[str, str] = {}

    def record(self, key: str, value: Any, mode: str | None = None) -> None:
        """Record a metric.

        Args:
            key: its name.
            value: its value.
            mode: `"replace"` (the default), `"incr"` to add to a number, `"append"` to add to a list.

        Raises:
            TypeError: the value's type is not one of those above, or not that of the metric; or the mode is unknown,
                or does not suit the value.
            ValueError: the name breaks a rule, or is reserved for the server.
        """
        kind = _mode(mode)
        _check_is_string(key)
        with self._lock:
            if self._emit is None:
                return
            _check_not_reserved(key)
            _check_name(key)
            type_ = _type_name(value)
            known = self._types.get(key, type_)
            if known != type_:
                raise TypeError(f"Metric '{key}' has type {known}, cannot set to {type_} without deleting first")
            if kind is MetricMode.INCREMENT and type_ not in ("int", "float"):
                raise TypeError(f"Increment mode requires int or float, got {type_}")
            # JSON has no NaN, so `plain` is None for it. Then a metric is removed, or a number stays as it is.
            plain = _to_json(value)
            self._types[key] = type_
            match kind, plain:
                case MetricMode.REPLACE, None:
                    self._emit(key, None, MetricMode.DELETE)
                case MetricMode.INCREMENT, None:
                    self._emit(key, 0, kind)
                case _:
                    self._emit(key, plain, kind)

    def delete(self, key: str) -> None:
        """Remove a metric, so that another type may be recorded; nothing happens if there is none.

        Raises:
            ValueError: the name breaks a rule.
        """
        _check_is_string(key)
        with self._lock:
            if self._emit is None:
                return
            _check_name(key)
            self._types.pop(key, None)
            self._emit(key, None, MetricMode.DELETE)

    def __setitem__(self, key: str, value: Any) -> None:
        """Replace a metric; `None` deletes it."""
        if value is None:
            self.delete(key)
        else:
            self.record(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __repr__(self) -> str:
        return f"MetricRecorder(keys={len(self._types)})" if self._emit else "MetricRecorder(inactive)"

    def _close(self) -> None:
        with self._lock:
            self._emit = None


class Scope:
    """What belongs to one prediction.

    Args:
        context: what the request gave as `context`.
        emit: told of each metric; `None` makes a scope that records nothing.
    """

    __slots__ = ("_context", "_metrics")

    def __init__(self, context: dict[str, str], emit: Emit | None) -> None:
        self._context = context
        self._metrics = MetricRecorder(emit)

    @property
    def metrics(self) -> MetricRecorder:
        """The recorder of this prediction."""
        return self._metrics

    @property
    def context(self) -> dict[str, str]:
        """What the request gave as `context`; empty if it gave none."""
        return self._context

    def record_metric(self, key: str, value: Any, mode: str | None = None) -> None:
        """The same as `metrics.record`."""
        self._metrics.record(key, value, mode)

    def __repr__(self) -> str:
        return f"Scope({self._metrics!r})"


_current: ContextVar[Scope] = ContextVar("current_scope")
_running: list[Scope] = []
_running_lock = threading.Lock()


def current_scope() -> Scope:
    """The scope of the prediction that this code belongs to; outside one, a scope that records nothing.

    A thread that the model started itself inherits no context: it gets the scope of the running prediction as long as
    that is the only one.
    """
    if scope := _current.get(None):
        return scope
    with _running_lock:
        return _running[0] if len(_running) == 1 else Scope({}, None)


@contextmanager
def prediction_scope(scope: Scope) -> Iterator[Scope]:
    """Make `scope` the current one while a prediction runs; afterwards it records nothing any more."""
    token = _current.set(scope)
    with _running_lock:
        _running.append(scope)
    try:
        yield scope
    finally:
        scope.metrics._close()
        with _running_lock:
            _running.remove(scope)
        _current.reset(token)


def _mode(mode: str | None) -> MetricMode:
    if mode is not None:
        _check_is_string(mode, "mode")
    if mode not in _MODES:
        raise TypeError(f"Invalid metric mode: '{mode}'. Expected 'replace', 'incr', or 'append'.")
    return _MODES[mode]


def _check_is_string(text: object, argument: str = "key") -> None:
    if not isinstance(text, str):
        raise TypeError(f"argument '{argument}' must be a str, not {type(text).__name__}")


def _check_not_reserved(name: str) -> None:
    if name == "predict_time":
        raise ValueError("'predict_time' is reserved by the runtime")
    if name.startswith("cog."):
        raise ValueError("the 'cog.' prefix is reserved for system metrics")


def _check_name(name: str) -> None:
    if not name:
        raise ValueError("metric name must not be empty")
    if (length := len(name.encode())) > MAX_NAME_LENGTH:
        raise ValueError(f"metric name must be {MAX_NAME_LENGTH} characters or fewer (got {length} characters)")
    if name.startswith("."):
        raise ValueError("metric name must not start with a dot")
    if name.endswith("."):
        raise ValueError("metric name must not end with a dot")
    if ".." in name:
        raise ValueError("metric name must not contain empty segments (consecutive dots)")
    segments = name.split(".")
    if len(segments) > MAX_NAME_SEGMENTS:
        raise ValueError(
            f"metric name must have at most {MAX_NAME_SEGMENTS} dot-separated segments (got {len(segments)})"
        )
    for segment in segments:
        _check_segment(segment)


def _check_segment(segment: str) -> None:
    if not re.match(r"[a-zA-Z]", segment):
        raise ValueError(f"metric name segment '{segment}' must start with a letter")
    if "__" in segment:
        raise ValueError(f"metric name segment '{segment}' must not contain consecutive underscores")
    if wrong := re.search(r"[^a-zA-Z0-9_]", segment):
        raise ValueError(f"metric name segment '{segment}' contains invalid character '{wrong.group()}'")
    if segment.endswith("_"):
        raise ValueError(f"metric name segment '{segment}' must end with a letter or digit")


def _type_name(value: Any) -> str:
    # `bool` comes before `int`, of which it is a subclass.
    for type_ in (bool, int, float, str, list, dict):
        if isinstance(value, type_):
            return type_.__name__
    raise TypeError(
        f"Unsupported metric value type: {type(value).__name__}. Expected bool, int, float, str, list, or dict."
    )


def _to_json(value: Any) -> Any:
    """A copy made of plain JSON types; what JSON cannot hold becomes null or a float, as in Cog."""
    match value:
        case None | bool():
            return value
        case int():
            return int(value) if -(2**63) <= value < 2**63 else float(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case str():
            value.encode()  # raises for text that cannot be sent
            return str(value)
        case list():
            return [_to_json(item) for item in value]
        case dict():
            for key in value:
                _check_is_string(key)
            return {_to_json(key): _to_json(item) for key, item in value.items()}
    raise TypeError(f"Cannot convert {type(value).__name__} to JSON metric value")
