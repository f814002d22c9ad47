"""Cog and Darkroom with the same predictor."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.compat.answer import Answer, answer_of
from tests.compat.case import Case, Request
from tests.compat.host import Host
from tests.compat.real_cog import starting_cog, wait_for_cog
from tests.conftest import running_server


@dataclass(frozen=True)
class Peer:
    """One of the two servers.

    Attributes:
        client: an HTTP client with its base URL.
        folder: the current folder of its predictor.
        is_cog: which one it is.
    """

    client: httpx.Client
    folder: Path
    is_cog: bool

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Its answer. Cog is given time first to free the slot of what it has just answered; Darkroom is not."""
        if self.is_cog:
            self.wait_until_idle()
        return self.client.request(method, path, **request)

    def ask_at_once(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """What it answers while something else runs."""
        return answer_of(self.client.request(method, path, json=body, headers=headers), self.folder)

    def health(self) -> Answer:
        """How it is."""
        return self.ask_at_once("GET", "/health-check")

    def listens(self) -> bool:
        """Whether it takes connections."""
        try:
            with socket.create_connection((self.client.base_url.host, self.client.base_url.port or 0)):
                return True
        except ConnectionError:
            return False

    def wait_until_idle(self) -> None:
        """Wait until it is set up and nothing runs."""
        wait_for_cog(self.client)


@dataclass(frozen=True)
class Pair:
    """Both."""

    cog: Peer
    darkroom: Peer


@contextmanager
def running_pair(case: Case, folder: Path, host: Host, *, set_up: bool = True) -> Iterator[Pair]:
    """Serve a case's predictor with both servers, each in a folder of its own below `folder`.

    Darkroom keeps no queue here, as Cog has none.

    Args:
        case: the predictor.
        folder: an empty folder.
        host: what `{host}` in the case stands for.
        set_up: whether to wait until the predictor is set up, or that has failed.
    """
    ours, theirs = folder / "darkroom", folder / "cog"
    for side in (ours, theirs):
        side.mkdir()
        shutil.copyfile(case.path, side / "predict.py")
    reference = f"predict.py:{case.reference}"
    train = f"train: predict.py:{case.trainer}\n" if case.trainer else ""
    (ours / "cog.yaml").write_text(f"predict: {reference}\n{train}")
    settings: dict[str, Any] = {"queue_size": 0, "x_mode": case.mode, "env": case.environment}
    options = ["--x-mode", case.mode]
    environment = case.environment | ({"COG_TRAIN_TYPE_STUB": f"predict.py:{case.trainer}"} if case.trainer else {})
    if case.upload_url is not None:
        settings["upload_url"] = host.filled(case.upload_url)
        options += ["--upload-url", host.filled(case.upload_url)]
    with running_server(ours, ready=False, **settings) as server:
        # Cog's own build makes the document from the source. Ours is equal to it: tests/schema/test_openapi.py.
        document = _document(server.client)
        with starting_cog(theirs, reference, document, environment, options) as client:
            if set_up:
                server.wait_for_health("READY", "SETUP_FAILED", "UNHEALTHY")
                wait_for_cog(client)
            yield Pair(Peer(client, theirs, True), Peer(server.client, ours, False))


def exchange(pair: Pair, request: Request, host: Host) -> tuple[Answer, Answer]:
    """Send a request to both.

    Returns:
        The answer that is expected of Darkroom, which is Cog's but for the deviation of the request; and Darkroom's.
    """
    ours = _send(pair.darkroom, request, host)
    difference = json.loads(host.filled(json.dumps({k: v for k, v in request.ours.items() if v is not ...})))
    if request.cog_hangs:
        return Answer(200, "application/json", difference), ours
    theirs = _send(pair.cog, request, host)
    if request.because is None:
        return theirs, ours
    assert request.because.value.by_chance or str(theirs) != str(ours), f"They do not differ any more: {request}"
    kept = {key: value for key, value in theirs.body.items() if request.ours.get(key) is not ...}
    return replace(theirs, body=kept | difference), ours


def _send(peer: Peer, request: Request, host: Host) -> Answer:
    content = None
    body = {"input": request.input} if request.input is not None else request.body
    headers = dict(request.headers)
    if body is not None:
        content = host.filled(json.dumps(body)).encode()
        headers.setdefault("Content-Type", "application/json")
    return answer_of(peer.ask(request.method, request.path, content=content, headers=headers), peer.folder)


def _document(client: httpx.Client) -> dict[str, Any] | None:
    while True:
        response = client.get("/openapi.json")
        if response.is_success:
            document: dict[str, Any] = response.json()
            return document
        if client.get("/health-check").json()["status"] == "SETUP_FAILED":
            return None
        time.sleep(0.02)
