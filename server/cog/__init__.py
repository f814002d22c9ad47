"""What `predict.py` sees as `cog`: the names, signatures and behaviour of Cog's Python package, at `__version__`.

Only the worker process imports it; `alias` makes `import cog` mean this package there.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from typing import TypeVar, overload

from server.cog.errors import CancelationException
from server.cog.input import FieldInfo, Input
from server.cog.model import BaseModel
from server.cog.opaque import Opaque
from server.cog.predictor import BasePredictor, BaseRunner
from server.cog.scope import current_scope
from server.cog.types import (
    AsyncConcatenateIterator,
    ConcatenateIterator,
    File,
    Path,
    Secret,
    URLFile,
    URLPath,
)

__version__ = "0.23.1"
"""The release of Cog that this package stands in for."""

# In the order of the real package; the last two are made by `__getattr__`.
__all__ = [  # noqa: RUF022
    "__version__",
    "BaseRunner",
    "BasePredictor",
    "BaseModel",
    "Opaque",
    "Input",
    "FieldInfo",
    "Path",
    "Secret",
    "File",
    "URLFile",
    "URLPath",
    "ConcatenateIterator",
    "AsyncConcatenateIterator",
    "CancelationException",
    "current_scope",
    "streaming",
    "concurrent",
    "ExperimentalFeatureWarning",
    "emit_metric",
]

_Function = TypeVar("_Function", bound=Callable[..., object])


@overload
def streaming(fn: _Function) -> _Function: ...
@overload
def streaming(fn: None = None) -> Callable[[_Function], _Function]: ...
def streaming(fn: _Function | None = None) -> _Function | Callable[[_Function], _Function]:
    """Say that clients may follow the output as server-sent events. Use as `@streaming` or `@streaming()`."""

    def mark(function: _Function) -> _Function:
        function.__darkroom_streaming__ = True  # type: ignore[attr-defined]
        return function

    return mark if fn is None else mark(fn)


@overload
def concurrent(fn: _Function) -> _Function: ...
@overload
def concurrent(fn: None = None, *, max: int = 1) -> Callable[[_Function], _Function]: ...
def concurrent(
    fn: _Function | None = None,
    *,
    max: int = 1,
) -> _Function | Callable[[_Function], _Function]:
    """Let up to `max` predictions run at once. Use as `@concurrent(max=4)` on an `async` function.

    Raises:
        TypeError: `max` is no integer, or is more than 1 on a function that is not async.
        ValueError: `max` is less than 1.
    """
    if isinstance(max, bool) or not isinstance(max, int):
        raise TypeError(f"concurrent max must be an integer, not {max!r}")
    if max < 1:
        raise ValueError(f"concurrent max must be at least 1, not {max}")

    def mark(function: _Function) -> _Function:
        is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if max > 1 and not is_async:
            raise TypeError("concurrent max greater than 1 requires an async function; write `async def`")
        function.__cog_concurrent_max__ = max  # type: ignore[attr-defined]
        return function

    if fn is None:
        return mark
    if not callable(fn):
        raise TypeError("concurrent must be used as @concurrent or @concurrent(max=...)")
    return mark(fn)


def alias() -> None:
    """Make `import cog`, and `import cog.types` and so on, mean this package in this process.

    Every submodule is registered: with the package alone, `cog.types` would be loaded a second time under that name,
    and its `Path` would be another class than `cog.Path`.
    """
    for submodule in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{submodule.name}")
    for name, module in list(sys.modules.items()):
        if name == __name__ or name.startswith(f"{__name__}."):
            sys.modules[f"cog{name.removeprefix(__name__)}"] = module


class _ExperimentalFeatureWarning(FutureWarning):
    """Raised by nothing any more; models still name it in `warnings.filterwarnings`."""


def _emit_metric(name: str, value: float) -> None:
    """Record a metric of the running prediction; the older form of `current_scope().record_metric`."""
    current_scope().record_metric(name, value)


_DEPRECATED: dict[str, tuple[object, str]] = {
    "ExperimentalFeatureWarning": (
        _ExperimentalFeatureWarning,
        "nothing raises it any more; remove the import and the warnings.filterwarnings(...) that uses it",
    ),
    "emit_metric": (_emit_metric, "use current_scope().record_metric(name, value)"),
}


def __getattr__(name: str) -> object:
    if name not in _DEPRECATED:
        raise AttributeError(f"module 'cog' has no attribute {name!r}")
    value, remedy = _DEPRECATED[name]
    # Printed, because the models that use these silence warnings; kept in the module, so that it is said once.
    what = f"{name}()" if inspect.isfunction(value) else name
    print(f"cog: {what} is deprecated: {remedy}.", file=sys.stderr)
    globals()[name] = value
    return value
