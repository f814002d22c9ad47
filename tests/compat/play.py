"""A prediction that follows a script, so that a test can do things while it runs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.compat.answer import Answer, answer_of, masked
from tests.compat.host import Host, Webhook
from tests.compat.pair import Peer

SCRIPTS = ("script", "script_return", "script_async")
"""The predictors that follow scripts: one yields, one returns a list, one yields asynchronously."""


@dataclass(frozen=True)
class Play:
    """A scripted prediction on one of the servers.

    Attributes:
        peer: the server.
        host: takes its webhooks.
        script: one of `SCRIPTS`.
        id: unique on the server.
    """

    peer: Peer
    host: Host
    script: str
    id: str

    def body(self, *steps: str, events: list[str] | None = None, **fields: Any) -> dict[str, Any]:
        """The body of a request to follow a script, with a webhook for `events` unless they are `None`."""
        body = {"id": self.id, "input": {"name": self.id, "steps": steps}, **fields}
        if events is None:
            return body
        return body | {"webhook": self.host.url + self._hooks, "webhook_events_filter": events}

    def run_with_file(self, path: str, events: list[str] | None = None, **headers: str) -> Answer:
        """Have a script without steps followed that gets a file of the host's, and wait for its end."""
        body = self.body(events=events)
        body["input"]["file"] = self.host.url + path
        return self._ask("PUT", f"/predictions/{self.id}", body, headers)

    def run(self, *steps: str, events: list[str] | None = None, **headers: str) -> Answer:
        """Have a script followed and wait for its end."""
        return self._ask("POST", "/predictions", self.body(*steps, events=events), headers)

    def start(self, *steps: str, events: list[str] | None = None, **headers: str) -> Answer:
        """Have a script followed while the test goes on; there is a webhook for its end, and for `events`."""
        body = self.body(*steps, events=[*(events or []), "completed"])
        return self._ask("POST", "/predictions", body, {"Prefer": "respond-async", **headers})

    def put(self, *steps: str, events: list[str] | None = None, **headers: str) -> Answer:
        """The same by PUT, at once."""
        return self.peer.ask_at_once("PUT", f"/predictions/{self.id}", self.body(*steps, events=events), **headers)

    @contextmanager
    def waiting(self, *steps: str) -> Iterator[Future[Answer]]:
        """A client that waits for the end of a script while the test goes on."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.run, *steps)

    @contextmanager
    def leaving(self, *steps: str) -> Iterator[None]:
        """A client that waits for the end of a script, and goes at the end of the `with` block."""
        if self.peer.is_cog:
            self.peer.wait_until_idle()
        content = json.dumps(self.body(*steps, events=["completed"])).encode()
        head = (
            "POST /predictions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        address = (self.peer.client.base_url.host, self.peer.client.base_url.port)
        with socket.create_connection(address) as connection:
            connection.sendall(head.encode() + content)
            yield

    @contextmanager
    def stream(self, *steps: str, events: list[str] | None = None) -> Iterator[Callable[[], Answer]]:
        """A client that follows the events of a script, or of what runs already under its id; waits until it is there.

        What it gives waits for the end of the events and returns them.
        """
        headers = {"Accept": "text/event-stream"}
        with self.peer.client.stream(
            "PUT", f"/predictions/{self.id}", json=self.body(*steps, events=events), headers=headers
        ) as response:

            def rest() -> Answer:
                response.read()
                return answer_of(response, self.peer.folder)

            yield rest

    def reached(self, point: str) -> None:
        """Wait until the script waits at a point."""
        while not (self.peer.folder / f"{self.id}.{point}.reached").exists():
            time.sleep(0.002)

    def let_pass(self, point: str) -> None:
        """Let the script go on from there."""
        (self.peer.folder / f"{self.id}.{point}.passed").touch()

    def cancel(self) -> Answer:
        """Ask for its end."""
        return self.peer.ask_at_once("POST", f"/predictions/{self.id}/cancel")

    def hears_of_output(self) -> None:
        """Wait for a webhook that tells of output before the end, where there is one."""
        if self.script == "script" or (self.script == "script_async" and not self.peer.is_cog):
            self.hears(lambda hook: "output" in hook.body)

    def hears_logs(self, logs: str) -> None:
        """Wait for a webhook with these logs."""
        self.hears(lambda hook: hook.body["logs"] == logs)

    def hears(self, until: Callable[[Webhook], bool]) -> list[Webhook]:
        """Wait for a webhook that satisfies `until`, and return all so far."""
        return self.host.webhooks(self._hooks, lambda hooks: any(map(until, hooks)))

    def story(self) -> list[dict[str, Any]]:
        """The bodies of all webhooks, up to the terminal one.

        Cog sends them all at once, so they arrive in any order. Its story is put in order, and waited for until it is
        as long as ours, which must have been told before.
        """
        hooks = self.hears(lambda hook: _is_terminal(hook.body))
        if not self.peer.is_cog:
            return [masked(hook.body) for hook in hooks]
        ours = self.host.webhooks(f"/darkroom/{self.id}")
        hooks = self.host.webhooks(self._hooks, lambda hooks: len(hooks) >= len(ours))
        return sorted((masked(hook.body) for hook in hooks), key=_place)

    def end(self) -> dict[str, Any]:
        """The body of the terminal webhook."""
        hooks = self.hears(lambda hook: _is_terminal(hook.body))
        return next(masked(hook.body) for hook in hooks if _is_terminal(hook.body))

    @property
    def _hooks(self) -> str:
        return f"/{'cog' if self.peer.is_cog else 'darkroom'}/{self.id}"

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        return answer_of(self.peer.ask(method, path, json=body, headers=headers), self.peer.folder)


def _is_terminal(body: dict[str, Any]) -> bool:
    return body["status"] in ("succeeded", "failed", "canceled")


def _place(body: dict[str, Any]) -> tuple[bool, int, int]:
    return _is_terminal(body), len(body.get("output") or []), len(body["logs"])
