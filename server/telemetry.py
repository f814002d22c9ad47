"""What the environment variables of OpenTelemetry (`OTEL_*`) ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from server.tracing import Tracing

logger = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""What the exporters for OTLP are called where packages offer them."""


def open_tracing(
    environ: Mapping[str, str] = os.environ, *, with_prompts: bool = False, model: str | None = None
) -> Tracing:
    """Make traces where a collector is named (`OTEL_EXPORTER_OTLP_ENDPOINT`), or an exporter (`OTEL_TRACES_EXPORTER`).

    What cannot be had is a warning, and the server does without: the same variables may hold for a whole cluster.

    Args:
        environ: the variables.
        with_prompts: whether spans tell what may quote a prompt.
        model: what is served; `None` where nobody but the predictor knows.
    """
    names = _exporters(environ)
    if not names:
        return Tracing()
    try:
        # What they need is an extra, and is imported only where it is asked for.
        from server.exporting import Export, exporter
    except ImportError as error:
        logger.warning(
            "No traces are made: OTEL_* variables ask for them, but the module %s is missing. "
            "Install it with: pip install 'darkroom-server[traces]'",
            error.name,
        )
        return Tracing()
    found = [exporter(name) for name in names]
    exporters = [one for one in found if one is not None]
    return Export(exporters, with_prompts=with_prompts, model=model) if exporters else Tracing()


def _exporters(environ: Mapping[str, str]) -> list[str]:
    """The names of the exporters that are wanted, as packages offer them."""

    def first(variables: tuple[str, ...]) -> str:
        return next((value for name in variables if (value := environ.get(name, "").strip())), "")

    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or ("otlp" if first(_ENDPOINTS) else "none")
    names = dict.fromkeys(name.strip() for name in named.split(","))
    protocol = first(_PROTOCOLS) or "http/protobuf"
    return [_OTLP.get(protocol, protocol) if name == "otlp" else name for name in names if name not in ("none", "")]
