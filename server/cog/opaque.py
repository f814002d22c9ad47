"""The marker `Opaque`, for types that Cog should not look into."""


class _OpaqueMarker:
    """The class of `Opaque`."""

    def __repr__(self) -> str:
        return "cog.Opaque"


Opaque = _OpaqueMarker()
"""Makes `Annotated[T, Opaque]` a plain JSON object on the wire, handed over without conversion."""
