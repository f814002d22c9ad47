"""`@streaming`, `@concurrent` and `Input`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.cog import FieldInfo, Input, concurrent, streaming


async def _coroutine() -> None:
    pass


async def _generator() -> AsyncIterator[str]:
    yield ""


def _function() -> None:
    pass


@pytest.mark.parametrize("function", [_coroutine, _generator, _function])
def test_decorators_keep_the_function(function: Any) -> None:
    assert streaming(function) is function
    assert streaming()(function) is function
    assert concurrent(function) is function
    assert concurrent(max=1)(function) is function


@pytest.mark.parametrize("function", [_coroutine, _generator])
def test_async_functions_may_be_concurrent(function: Any) -> None:
    assert concurrent(max=4)(function).__cog_concurrent_max__ == 4


@pytest.mark.parametrize(
    ("maximum", "error", "message"),
    [
        (0, ValueError, "at least 1, not 0"),
        (-1, ValueError, "at least 1"),
        (True, TypeError, "an integer, not True"),
        (2.0, TypeError, "an integer"),
        ("2", TypeError, "an integer"),
        (2, TypeError, "requires an async function"),
    ],
)
def test_other_maxima_are_refused(maximum: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        concurrent(max=maximum)(_function)


def test_a_number_is_no_function() -> None:
    with pytest.raises(TypeError, match=r"@concurrent or @concurrent\(max=\.\.\.\)"):
        concurrent(4)  # type: ignore[call-overload]


def test_input_remembers_whether_it_has_a_default() -> None:
    assert Input(description="a") == FieldInfo(description="a")
    assert Input().default is None
    assert not Input().has_default
    assert Input(default=None).has_default
    assert Input(None).has_default


def test_default_factories_are_refused() -> None:
    with pytest.raises(TypeError, match="default_factory is not supported"):
        Input(default_factory=list)
