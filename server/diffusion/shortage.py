"""What is left to do where memory is too short for a call that is made alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from server.diffusion.gates import Gate
from server.diffusion.rows import Rows, merge

_TILE_SHRINKS = (1, 2, 4)
"""By how much the tiles are smaller than the autoencoder's own, whose size is mostly that of the model's pictures."""

Attempt = tuple[str, Callable[[], Any]]
"""What it costs the request, and the call made so."""


def attempts(gate: Gate, arguments: Mapping[str, Any], rows: Rows | None) -> Iterator[Attempt]:
    """Ways to make a call in less memory, each needing less than the one before.

    Args:
        gate: whose call it is.
        arguments: by name.
        rows: the same as rows; `None` where they are none.
    """
    if rows and rows.count > 1:
        cost = f"its {rows.count} rows were computed one after the other, which took longer."
        yield (
            f"Memory was short for {gate.name}: {cost}",
            lambda: merge([gate.function(**row) for row in rows.one_by_one()]),
        )
    if hasattr(gate.module, "use_tiling"):
        cost = "it worked in tiles, which may show faintly where they meet. Ask for smaller pictures (width, height)."
        for shrink in _TILE_SHRINKS:
            yield f"Memory was short for {gate.name}: {cost}", partial(_in_tiles, gate, arguments, shrink)


@contextmanager
def tiled(autoencoder: Any, shrink: int = 1) -> Iterator[None]:
    """Have an autoencoder work row by row and in tiles, within; it is as before afterwards.

    It is shared: nobody else may use it meanwhile.

    Args:
        autoencoder: one of diffusers' with `use_tiling`.
        shrink: by how much tiles are smaller than its own.
    """
    names = [name for name in vars(autoencoder) if name.startswith("tile_") or name in ("use_tiling", "use_slicing")]
    before = {name: getattr(autoencoder, name) for name in names}
    try:
        autoencoder.enable_slicing()
        autoencoder.enable_tiling()
        for name, value in before.items():
            if name.startswith("tile_") and isinstance(value, int):
                setattr(autoencoder, name, max(1, value // shrink))
        yield
    finally:
        for name, value in before.items():
            setattr(autoencoder, name, value)


def _in_tiles(gate: Gate, arguments: Mapping[str, Any], shrink: int) -> Any:
    with tiled(gate.module, shrink):
        return gate.function(**arguments)
