"""A whole server: anything, in any order. Every prediction that was accepted ends once, and nothing is left."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.compat.host import Host, running_host
from tests.conftest import PREDICTORS, Server, running_server
from tests.worker.conftest import wait_until_empty

ORDERS = ["return", "raise", "wait", "wait", "swallow", "die", "spawn", "read", "read nothing", "write"]
ENDLESS = ("wait", "swallow")
ENDED = ("succeeded", "failed", "canceled")

REQUESTS = st.tuples(st.sampled_from(ORDERS), st.sampled_from(["wait", "stream", "respond-async"]), st.booleans())
"""An order, how its client asks for it, and whether there is a webhook."""


@dataclass(eq=False)
class Asked:
    """A prediction that was accepted, and what was done to it since.

    Attributes:
        id: several may have the same, one after the other.
        name: this one has for itself.
        order: one of `ORDERS`.
        has_webhook: whether somebody is told of its end.
        connection: where its client waits, if there is one.
        left: whether that client has gone.
        canceled: whether it was promised that it ends as canceled.
        has_yielded: whether it had yielded by then.
        end: its terminal state, as it was first seen.
    """

    id: str
    name: str
    order: str
    has_webhook: bool
    connection: HTTPConnection | None = None
    left: bool = False
    canceled: bool = False
    has_yielded: bool = False
    end: dict[str, Any] | None = None


class Stage:
    """A server that can be stopped and started again, in a folder that it does not share."""

    def __init__(self, predictor: str, folder: Path, host: Host) -> None:
        self.model, self.scratch, self._data = (folder / name for name in ("model", "scratch", "data"))
        self.model.mkdir()
        self.scratch.mkdir()
        shutil.copyfile(PREDICTORS / f"{predictor}.py", self.model / "predict.py")
        (self.model / "cog.yaml").write_text("predict: predict.py:Predictor\n")
        self.host = host
        self.asked: list[Asked] = []
        self.asked_before = 0
        self.server: Server
        self._stack = ExitStack()

    def start(self) -> None:
        serving = running_server(
            self.model,
            data_dir=self._data,
            cancel_grace=0.1,
            shutdown_grace=300,
            env={"TMPDIR": str(self.scratch)},
        )
        self.server = self._stack.enter_context(serving)
        self.asked_before = len(self.asked)

    def stop(self) -> None:
        """End the server, with all that runs let go, and see that nothing is left of it."""
        (self.model / "hold").unlink(missing_ok=True)
        self.server.process.send_signal(signal.SIGTERM)
        for asked in self.asked:
            self.let_go(asked)
        assert self.server.wait(60) == 0
        self._stack.close()
        assert [wait_until_empty(group) for group in self.groups()] == [[]] * len(self.groups())
        self.check_leftovers()

    def let_go(self, asked: Asked) -> None:
        (self.model / f"{asked.name}.go").touch()

    def has_yielded(self, asked: Asked) -> bool:
        return (self.model / f"{asked.name}.waits").exists()

    def groups(self) -> list[int]:
        """The process groups of all children so far."""
        return [int(pid) for pid in (self.model / "pids").read_text().split()]

    def check_leftovers(self) -> None:
        assert list(self.scratch.iterdir()) == []

    def check_webhooks(self, asked: Asked) -> dict[str, Any]:
        """The one terminal state that its webhook was told."""
        hooks = self.host.webhooks(f"/{asked.name}", lambda hooks: any(hook.body["status"] in ENDED for hook in hooks))
        statuses = [hook.body["status"] for hook in hooks]
        assert [status in ENDED for status in statuses] == [False] * (len(hooks) - 1) + [True], statuses
        return hooks[-1].body


class ServerMachine(RuleBasedStateMachine):
    all_asked = Bundle("all_asked")

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.asked: list[Asked] = []
        # The newest of each id, and those of them that this server was asked for, not one before.
        self.newest: dict[str, Asked] = {}
        self.remembered: set[Asked] = set()
        self.may_have_crashed = False

    @initialize(target=all_asked, requests=st.lists(REQUESTS, min_size=2, max_size=4))
    def begin(self, requests: list[tuple[str, str, bool]]) -> MultipleResults[Asked]:
        return multiple(*[self._ask(*request) for request in requests])

    @rule(target=all_asked, request=REQUESTS)
    def ask(self, request: tuple[str, str, bool]) -> Asked:
        return self._ask(*request)

    @rule(target=all_asked, before=all_asked, order=st.sampled_from(ORDERS), has_webhook=st.booleans())
    def ask_again(self, before: Asked, order: str, has_webhook: bool) -> Asked:
        newest = self.newest[before.id]
        self._look_at(newest)
        asked = Asked(before.id, f"p{len(self.stage.asked)}", order, has_webhook)
        answer = self.stage.server.client.put(
            f"/predictions/{asked.id}", json=self._body(asked), headers={"Prefer": "respond-async"}
        )
        assert answer.status_code == 202
        if "input" in answer.json():
            assert newest.end is None
            assert answer.json()["input"]["name"] == newest.name
            return newest
        self._accepted(asked)
        return asked

    @rule(asked=all_asked, times=st.integers(1, 3))
    def cancel(self, asked: Asked, times: int) -> None:
        newest = self.newest[asked.id]
        has_yielded = self.stage.has_yielded(newest)
        answers = [self.stage.server.client.post(f"/predictions/{asked.id}/cancel").status_code for _ in range(times)]
        assert answers in ([200] * times, [404] * times)
        if answers[0] == 200:
            newest.has_yielded = newest.has_yielded or (has_yielded and not newest.canceled)
            newest.canceled = True
            self.may_have_crashed |= newest.order == "swallow"

    @rule()
    def leave(self) -> None:
        for asked in self.asked:
            if asked.connection:
                asked.connection.close()
                asked.connection = None
                asked.left = True
                self.may_have_crashed |= asked.order == "swallow"

    @rule(asked=all_asked)
    def let_go(self, asked: Asked) -> None:
        self.stage.let_go(asked)

    @rule(asked=all_asked)
    def look_at(self, asked: Asked) -> None:
        self._look_at(self.newest[asked.id])

    @rule(milliseconds=st.integers(0, 30))
    def pause(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)

    @rule(asked=all_asked)
    def kill(self, asked: Asked) -> None:
        # A child that does nothing is replaced late: it might be the model's fault.
        runs = self.newest[asked.id] is asked and self.stage.has_yielded(asked) and self._look_at(asked) is None
        if runs:
            self.may_have_crashed = True
            with suppress(ProcessLookupError):
                os.kill(self.stage.groups()[-1], signal.SIGKILL)

    @rule(held=st.booleans())
    def hold_setup(self, held: bool) -> None:
        hold = self.stage.model / "hold"
        hold.touch() if held else hold.unlink(missing_ok=True)

    @rule()
    def restart(self) -> None:
        # It takes a second or more. No precondition, for those must not depend on what was before this example.
        if len(self.stage.asked) - self.stage.asked_before < 30:
            return
        try:
            self.stage.stop()
        finally:
            self.stage.start()
        self.remembered.clear()
        for asked in self.newest.values():
            self._look_at(asked)
            assert asked.end is not None

    def teardown(self) -> None:
        self.hold_setup(held=False)
        for asked in self.newest.values():
            # One whose client has left is canceled without being asked.
            if asked.order in ENDLESS and not asked.left:
                self.cancel(asked, 1)
        for asked in self.newest.values():
            _until(lambda asked=asked: self._look_at(asked) is not None)  # type: ignore[misc]
        self.stage.check_leftovers()
        for asked in self.asked:
            self._check_told(asked)
        for asked in self.remembered & set(self.newest.values()):
            answer = self.stage.server.client.post(f"/predictions/{asked.id}/cancel")
            assert answer.status_code == (200 if asked.end and asked.end["status"] == "canceled" else 404)
        answer = self.stage.server.predict(order="return", name="next")
        assert (answer.json()["status"], answer.json()["output"]) == ("succeeded", ["next"])
        *gone, _ = self.stage.groups()
        assert [wait_until_empty(group) for group in gone] == [[]] * len(gone)

    def _ask(self, order: str, how: str, has_webhook: bool) -> Asked:
        name = f"p{len(self.stage.asked)}"
        asked = Asked(f"id-{name}", name, order, has_webhook)
        body = self._body(asked)
        if how == "respond-async":
            headers = {"Prefer": "respond-async"}
            answer = self.stage.server.client.post("/predictions", json=body, headers=headers)
            assert (answer.status_code, answer.json()) == (202, {"id": asked.id, "status": "starting"})
        else:
            url = self.stage.server.client.base_url
            asked.connection = HTTPConnection(url.host, url.port or 0, timeout=60)
            accept = "text/event-stream" if how == "stream" else "*/*"
            headers = {"Content-Type": "application/json", "Accept": accept}
            asked.connection.request("PUT", f"/predictions/{asked.id}", json.dumps(body), headers)
            _until(lambda: self._record(asked.id) is not None)
        self._accepted(asked)
        return asked

    def _body(self, asked: Asked) -> dict[str, Any]:
        values = {"order": asked.order.split()[0], "name": asked.name}
        if values["order"] == "read":
            values["file"] = f"{self.stage.host.url}/{'hello' if asked.order == 'read' else 'nothing'}.txt"
        webhook = {"webhook": f"{self.stage.host.url}/{asked.name}"} if asked.has_webhook else {}
        return {"id": asked.id, "input": values, **webhook}

    def _accepted(self, asked: Asked) -> None:
        self.stage.asked.append(asked)
        self.asked.append(asked)
        self.newest[asked.id] = asked
        self.remembered.add(asked)
        self.may_have_crashed |= asked.order == "die"

    def _record(self, id: str) -> dict[str, Any] | None:
        answer = self.stage.server.client.get(f"/predictions/{id}")
        return answer.json() if answer.status_code == 200 else None

    def _look_at(self, asked: Asked) -> dict[str, Any] | None:
        """Its terminal state, once it has one; it must then stay as it is."""
        record = self._record(asked.id)
        assert record is not None
        assert record["input"]["name"] == asked.name
        state = {key: record.get(key) for key in ("id", "status", "output", "error", "logs")}
        if asked.end is not None:
            assert state == asked.end
        elif state["status"] in ENDED:
            asked.end = state
            self._check_end(asked, state)
        return asked.end

    def _check_told(self, asked: Asked) -> None:
        """Whoever wanted to know has been told of its end, and the same."""
        told = []
        if asked.has_webhook:
            told.append(self.stage.check_webhooks(asked))
            self._check_end(asked, told[0])
        if asked.connection:
            answer = asked.connection.getresponse()
            text = answer.read().decode()
            if answer.headers["Content-Type"] == "text/event-stream":
                *_, (name, data) = [event.split("\ndata: ") for event in text.strip().split("\n\n") if event[0] != ":"]
                assert name == "event: completed"
                text = data
            told.append(json.loads(text))
            asked.connection.close()
        if asked.end is not None:
            told.append(asked.end)
        assert len({state["status"] for state in told}) <= 1
        assert len({state.get("error") for state in told}) <= 1

    def _check_end(self, asked: Asked, state: dict[str, Any]) -> None:
        match state["status"]:
            case "succeeded":
                assert not asked.canceled
                assert state["output"] == _output(asked)
            case "canceled":
                assert asked.canceled or asked.left
                if asked.has_yielded and not self.may_have_crashed:
                    assert state["output"] == _output(asked)
            case "failed":
                assert not asked.canceled
                if not (self.may_have_crashed and state["error"].startswith("Worker crashed: ")):
                    assert state["error"].endswith(_error(asked, self.stage.host))


def _output(asked: Asked) -> list[str]:
    match asked.order:
        case "read":
            return ["hello\n", asked.name]
        case "write":
            return [f"data:text/plain;base64,{base64.b64encode(asked.name.encode()).decode()}", asked.name]
        case "return" | "spawn" | "wait" | "swallow":
            return [asked.name]
    raise AssertionError(f"{asked.order} cannot succeed")


def _error(asked: Asked, host: Host) -> str:
    match asked.order:
        case "raise":
            return f"ValueError: {asked.name}"
        case "read nothing":
            return f"404 Client Error: Not Found for url: {host.url}/nothing.txt"
    raise AssertionError(f"{asked.order} cannot fail")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("predictor", ["obey", "obey_together"])
def test_anything_in_any_order(predictor: str, tmp_path: Path) -> None:
    with running_host() as host:
        stage = Stage(predictor, tmp_path, host)
        stage.start()

        class OnStage(ServerMachine):
            def __init__(self) -> None:
                super().__init__(stage)

        try:
            run_state_machine_as_test(
                OnStage,
                settings=settings(
                    max_examples=20,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    # To look for a shorter way to the same failure would take many minutes.
                    phases=(Phase.reuse, Phase.generate),
                ),
            )
        finally:
            stage.stop()
        for asked in stage.asked:
            if asked.has_webhook:
                stage.check_webhooks(asked)
