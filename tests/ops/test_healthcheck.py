"""script/healthcheck, the image's HEALTHCHECK, against real servers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "script" / "healthcheck"


def check(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PORT": str(port), **variables}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health-check" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", ["READY", "BUSY"])
def test_a_server_that_takes_predictions_is_healthy(status: str) -> None:
    with answering(json.dumps({"status": status}).encode()) as port:
        process = check(port)
    assert (process.returncode, process.stdout) == (0, f"{status}\n")


@pytest.mark.parametrize("status", ["STARTING", "SETUP_FAILED", "DEFUNCT", "UNHEALTHY"])
def test_any_other_is_not(status: str) -> None:
    with answering(json.dumps({"status": status}).encode()) as port:
        process = check(port)
    assert (process.returncode, process.stdout) == (1, f"{status}\n")


def test_no_server_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    process = check(port)
    assert process.returncode == 1
    assert f"no answer on port {port}" in process.stdout
    assert process.stderr == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}"])
def test_another_server_is_not_healthy(body: bytes) -> None:
    with answering(body) as port:
        process = check(port)
    assert process.returncode == 1
    assert f"no health on port {port}" in process.stdout
    assert process.stderr == ""


def test_a_proxy_is_not_asked() -> None:
    with answering(b'{"status": "READY"}') as port:
        process = check(port, http_proxy="http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:1")
    assert process.returncode == 0


def test_the_own_name_of_the_port_is_the_stronger_one() -> None:
    with answering(b'{"status": "READY"}') as port:
        assert check(1, DARKROOM_PORT=str(port)).returncode == 0
