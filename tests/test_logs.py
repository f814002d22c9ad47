"""What the operator reads of a real server, as text and as JSON; and what must never be there."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PREDICTORS, ROOT, Server, running_server

PROMPT = "a zebracorn in deepsnow"
WORDS = ("zebracorn", "deepsnow")
SECRET = "hunter2-opensesame"


@dataclass
class Logged:
    """What a server that has ended wrote.

    Attributes:
        lines: on standard error.
        stdout: on standard output.
        url: where it was.
    """

    lines: list[str]
    stdout: str
    url: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Each line as JSON."""
        return [json.loads(line) for line in self.lines]

    def of(self, prediction: str, logger: str = "server.service.journal") -> list[dict[str, Any]]:
        """The events of a prediction."""
        return [one for one in self.events if one.get("prediction") == prediction and one["logger"] == logger]

    def one(self, message: str, **facts: Any) -> dict[str, Any]:
        """The only event of this message and these facts."""
        (found,) = (one for one in self.events if one["message"] == message and facts.items() <= one.items())
        return found


def talk(server: Server) -> None:
    """Let all happen that can happen to a prediction, with a prompt and a secret wherever they can be."""
    send = server.client.post
    inputs = {"prompt": PROMPT, "token": SECRET}
    dead = f"http://{SECRET}:{SECRET}@127.0.0.1:1/{SECRET}?token={SECRET}#{SECRET}"
    missing = f"{server.url.replace('//', f'//{SECRET}@')}/nowhere?token={SECRET}"
    webhook = {"webhook": missing, "webhook_events_filter": ["completed"]}
    send("/predictions", json={"id": "well", "input": inputs, "webhook": dead, "webhook_events_filter": ["start"]})
    for do in ("fail", "refuse", "write"):
        send("/predictions", json={"id": do, "input": {**inputs, "do": do}, **webhook})
    send("/predictions", json={"id": "lost", "input": {**inputs, "image": missing}})
    send("/predictions", json={"id": "broken", "input": {**inputs, "image": f"data:image/png;base64,{WORDS[0]}!!!"}})
    send("/predictions", json={"id": "odd", "input": {**inputs, WORDS[0]: 1}, "webhook": f"ftp://{SECRET}/"})
    for wrong in ({"prompt": [PROMPT]}, {"prompt": PROMPT, "do": WORDS[0]}, {"prompt": PROMPT, "token": [SECRET]}):
        assert send("/predictions", json={"input": wrong}).status_code == 422
    assert send("/predictions", content=f'{{"input": {PROMPT}', headers=_JSON).status_code == 400
    server.client.get(f"/predictions?prompt={WORDS[0]}&token={SECRET}")
    send("/v1/predictions", json={"input": inputs}, headers={"Prefer": "wait"})
    send("/predictions", json={"id": "stream", "input": inputs}, headers={"Accept": "text/event-stream"})
    send("/predictions", json={"id": "wait", "input": {**inputs, "do": "wait"}}, headers=_ASYNC)
    _until(server, "wait", "processing")
    send("/predictions", json={"id": "queued", "input": inputs}, headers=_ASYNC)
    send("/predictions/wait/cancel")
    send("/predictions/wait/cancel")
    _until(server, "wait", "canceled")
    _until(server, "queued", "succeeded")
    send("/predictions", json={"id": "die", "input": {**inputs, "do": "die"}})
    server.wait_for_health("READY")


_JSON = {"Content-Type": "application/json"}
_ASYNC = {"Prefer": "respond-async"}


def _until(server: Server, id: str, status: str) -> None:
    while server.client.get(f"/predictions/{id}").json()["status"] != status:
        pass


def logged(stdout: Path, **settings: Any) -> Logged:
    """What a server writes about all that."""
    environment = {"COG_MAX_CONCURRENCY": "none"}
    with stdout.open("w") as file, running_server("speak", stdout=file, env=environment, **settings) as server:
        talk(server)
        server.stop()
    return Logged(server.lines, stdout.read_text(), server.url)


@pytest.fixture(scope="module")
def as_json(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return logged(tmp_path_factory.mktemp("json") / "stdout", log_format="json", log_level="debug")


@pytest.fixture(scope="module")
def with_prompts(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return logged(tmp_path_factory.mktemp("prompts") / "stdout", log_format="json", log_prompts="true")


@pytest.fixture(scope="module")
def as_text(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return logged(tmp_path_factory.mktemp("text") / "stdout")


def test_every_line_is_an_object_with_the_documented_keys(as_json: Logged, with_prompts: Logged) -> None:
    for event in as_json.events + with_prompts.events:
        assert list(event)[:4] == ["timestamp", "level", "logger", "message"]
        assert event["level"] in ("debug", "info", "warning", "error", "critical")
        assert event["timestamp"].endswith("Z")
        assert abs((datetime.now(UTC) - datetime.fromisoformat(event["timestamp"])).total_seconds()) < 3600
        assert None not in event.values()


def test_every_key_is_documented(as_json: Logged, with_prompts: Logged) -> None:
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE))
    assert {key for event in as_json.events + with_prompts.events for key in event} <= documented


def test_a_prompt_and_a_secret_are_nowhere(as_json: Logged, as_text: Logged) -> None:
    for written in (as_json, as_text):
        assert written.stdout == ""
        for word in (*WORDS, *SECRET.split("-")):
            assert word not in "".join(written.lines)


def test_a_secret_is_nowhere_even_with_prompts(with_prompts: Logged) -> None:
    assert with_prompts.stdout == ""
    for word in SECRET.split("-"):
        assert word not in "".join(with_prompts.lines)


def test_a_prediction_has_three_lines(as_json: Logged) -> None:
    accepted, started, ended = as_json.of("well")
    assert (accepted["message"], accepted["level"]) == ("Prediction accepted", "info")
    assert "place" not in accepted
    assert started["message"] == "Prediction started"
    assert 0 <= started["wait_seconds"] < 60
    assert ended["message"] == "Prediction ended"
    assert (ended["state"], ended["outputs"]) == ("succeeded", 2)
    assert 0 <= ended["predict_seconds"] < 60
    assert [event["message"] for event in as_json.of("stream")] == [
        "Prediction accepted",
        "Prediction started",
        "Prediction ended",
    ]


def test_the_place_in_the_queue_is_told(as_json: Logged) -> None:
    assert as_json.one("Prediction accepted", prediction="queued")["place"] == 1


def test_a_cancel_is_told_once(as_json: Logged) -> None:
    *_, asked, ended = as_json.of("wait")
    assert asked["message"] == "Prediction is being canceled"
    assert (ended["message"], ended["state"]) == ("Prediction ended", "canceled")
    assert len(as_json.of("wait")) == 4


def test_an_exception_is_one_field_without_what_it_quotes(as_json: Logged) -> None:
    ended = as_json.of("fail")[-1]
    assert (ended["level"], ended["state"], ended["outputs"]) == ("error", "failed", 0)
    assert "error" not in ended
    lines = ended["exception"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "speak.py" in lines[1]
    assert "That led to:" in lines
    assert lines[-1].startswith("ValueError: out of memory, 24 GB: ...")
    assert any(line.startswith("LookupError: no '...'") for line in lines)


def test_with_prompts_an_exception_is_whole_but_for_secrets(with_prompts: Logged) -> None:
    ended = with_prompts.of("fail")[-1]
    assert ended["exception"].splitlines()[-1] == "ValueError: out of memory, 24 GB: zebracorn, ..."
    assert "LookupError: no 'a zebracorn in deepsnow' for ...\n" in ended["exception"]
    assert ended["error"].endswith("ValueError: out of memory, 24 GB: zebracorn, ...")


def test_an_input_that_the_model_refuses_is_named(as_json: Logged, with_prompts: Logged) -> None:
    ended = as_json.of("refuse")[-1]
    assert (ended["level"], ended["state"], ended["refused"]) == ("info", "failed", "prompt")
    assert "exception" not in ended
    assert "'a zebracorn in deepsnow' is too long" in with_prompts.of("refuse")[-1]["error"]


def test_with_prompts_the_inputs_are_told(with_prompts: Logged) -> None:
    told = {one["prediction"]: one["inputs"] for one in with_prompts.events if one["message"] == "Prediction accepted"}
    assert told["well"] == {"prompt": PROMPT}
    assert told["lost"]["image"] == f"{with_prompts.url}/..."
    assert told["broken"]["image"] == "data:image/png,..."
    ignored = with_prompts.one("Parts of a request are ignored")
    assert (ignored["ignored"], ignored["unknown_inputs"]) == (["inputs", "webhook"], [WORDS[0]])


def test_files_that_cannot_be_had(as_json: Logged) -> None:
    message = "File of an input could not be had"
    lost = as_json.one(message, prediction="lost")
    assert (lost["level"], lost["input"], lost["source"]) == ("warning", "image", f"{as_json.url}/...")
    assert lost["reason"] == "the server answered 404"
    broken = as_json.one(message, prediction="broken")
    assert (broken["source"], broken["reason"]) == ("data:image/png,...", "it is not valid")


def test_webhooks(as_json: Logged) -> None:
    dead = as_json.one("Webhook got no answer")
    assert (dead["level"], dead["prediction"], dead["receiver"]) == ("warning", "well", "http://127.0.0.1:1/...")
    refused = as_json.one("Webhook was not accepted", prediction="fail")
    assert (refused["receiver"], refused["status"]) == (f"{as_json.url}/...", 404)


def test_requests(as_json: Logged) -> None:
    listed = as_json.one("Request answered", method="GET", path="/predictions")
    assert (listed["logger"], listed["status"]) == ("uvicorn.access", 200)
    assert listed["client"].startswith("127.0.0.1:")
    assert [one["status"] for one in as_json.events if one.get("path") == "/predictions"].count(422) == 4


def test_setup_and_what_becomes_of_the_child(as_json: Logged) -> None:
    first, second = (one for one in as_json.events if one["message"] == "Setup started")
    assert first["pid"] != second["pid"]
    assert [one["seconds"] > 0 for one in as_json.events if one["message"] == "Setup finished"] == [True, True]
    replaced = as_json.one("Model's process is replaced")
    assert replaced["level"] == "error"
    assert "exit status 3" in replaced["reason"]


def test_what_the_model_writes_is_a_line_each(as_json: Logged) -> None:
    written = [event["message"] for event in as_json.of("write", "server.model")]
    assert "not \ufffd UTF-8" in written
    assert {"two", "lines, ", "one \x1b[31mred\x1b[0m \u202eback"} <= set(written)
    assert '[info     ] "} forged {"prediction": 0' in written
    assert "100%|##########| 2/2 [00:02<00:00]" in written
    (long,) = (text for text in written if text.startswith("yyy"))
    assert len(long) < 5000
    assert all(text.strip() for text in written)
    assert "prediction" not in next(one for one in as_json.events if one["message"] == "learns to speak")


def test_what_the_model_writes_of_a_prompt_is_told_with_prompts_only(as_json: Logged, with_prompts: Logged) -> None:
    hidden, whole = ([one["message"] for one in log.of("write", "server.model")] for log in (as_json, with_prompts))
    assert {"draws '...'", "drawing ..."} <= set(hidden)
    assert {f"draws {PROMPT!r}", f"drawing {WORDS[0]}"} <= set(whole)


def test_text_is_a_line_an_event(as_text: Logged) -> None:
    times = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[(debug|info|warning|error)\s*\] "
    for line in as_text.lines:
        # What is indented belongs to the exception above.
        assert re.match(times, line) or line.startswith("    ")
        assert line.rstrip("\n").isprintable()
    (ended,) = (line for line in as_text.lines if "Prediction ended" in line and "prediction=well" in line)
    assert re.search(r"state=succeeded predict_seconds=[\d.]+ outputs=2$", ended.strip())
    assert any(r"one \x1b[31mred\x1b[0m \u202eback" in line for line in as_text.lines)


def test_what_is_wrong_with_the_settings_is_logged_as_they_say(as_json: Logged, as_text: Logged) -> None:
    assert as_json.events[0]["message"].startswith("COG_MAX_CONCURRENCY is 'none', which cannot be used")
    assert "COG_MAX_CONCURRENCY" in as_text.lines[0]


def darkroom(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=PREDICTORS,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DARKROOM_PREDICTOR": "repeat_back.py:Predictor", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["--log-format", "xml"], {}, "--log-format: Input should be 'text' or 'json', not 'xml'."),
        ([], {"DARKROOM_LOG_FORMAT": "JSON!"}, "DARKROOM_LOG_FORMAT: Input should be 'text' or 'json', not 'JSON!'."),
        (["--log-prompts", "maybe"], {}, "--log-prompts: Input should be a valid boolean"),
    ],
)
def test_a_value_that_cannot_be_used(arguments: list[str], environment: dict[str, str], complaint: str) -> None:
    result = darkroom("serve", "--port", "0", *arguments, **environment)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_that_ends_the_server_is_an_event(tmp_path: Path) -> None:
    result = darkroom("serve", "--port", "0", "--host", "256.0.0.1", "--log-format", "json")
    (event,) = map(json.loads, result.stderr.splitlines())
    assert result.returncode == 1
    assert (event["level"], event["message"][:21]) == ("critical", "Cannot listen on port")


def test_predict_prints_nothing_but_its_output() -> None:
    result = darkroom("predict", "-i", "text=hello", "--log-format", "json", "--log-level", "debug")
    assert (result.returncode, result.stdout) == (0, "hello:1:0.0\n")


def said(code: str, *, as_json: bool = True, with_prompts: bool = False, **environment: str) -> str:
    """What a process that logs writes to standard error."""
    start = f"logs.start('info', as_json={as_json}, with_prompts={with_prompts})"
    program = f"import logging, warnings\nfrom server import logs\nlog = logging.getLogger('x')\n{start}\n{code}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True).stderr


_RAISE = """
try:
    try:
        raise PermissionError(13, 'not allowed', '/zebracorn')
    finally:
        raise ExceptionGroup('zebracorn', [KeyError('zebracorn')])
except Exception:
    log.exception('It failed')
"""


def test_what_an_exception_of_the_server_says_is_told_only_with_prompts() -> None:
    event = json.loads(said(_RAISE))
    assert "zebracorn" not in event["exception"].replace("PermissionError(13, 'not allowed', '/zebracorn')", "")
    for line in ("PermissionError: [Errno 13] not allowed", "ExceptionGroup (", "KeyError ("):
        assert f"\n{line}" in event["exception"]
    event = json.loads(said(_RAISE, with_prompts=True))
    assert "\nKeyError: 'zebracorn'" in event["exception"]
    assert "\nPermissionError: [Errno 13] not allowed: '/zebracorn'\n" in event["exception"]


def test_what_nobody_catches_is_one_line_too() -> None:
    event = json.loads(said("raise ValueError('zebracorn')"))
    assert event["level"] == "critical"
    assert event["exception"].splitlines()[-1].startswith("ValueError (")


def test_no_event_has_several_lines() -> None:
    code = "log.info('one\\ntwo\\u2028three\\ud800', extra={'fact': 'a\\nb', 'many': ['\\x1b']})"
    assert json.loads(said(code)) | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "logger": "x",
        "message": "one\ntwo\u2028three\ud800",
        "fact": "a\nb",
        "many": ["\x1b"],
    }
    (line,) = said(code, as_json=False).splitlines()
    assert r"one\ntwo\u2028three\ud800" in line
    assert r"a\nb" in line
    assert r"['\x1b']" in line


def test_warnings_of_python() -> None:
    event = json.loads(said("warnings.warn('of\\nage', FutureWarning)"))
    assert (event["level"], event["logger"]) == ("warning", "py.warnings")
    assert event["message"].startswith("<string>:5: FutureWarning: of age")


def test_libraries_that_log_urls_do_not() -> None:
    code = "[logging.getLogger(name).info('x') for name in ('httpx', 'httpcore.http11')]"
    assert said(code) == ""


def test_the_span_is_told() -> None:
    code = """
from opentelemetry import trace
context = trace.SpanContext(0xabc, 0xdef, is_remote=False)
with trace.use_span(trace.NonRecordingSpan(context)):
    log.info('inside')
"""
    event = json.loads(said(code))
    assert (event["trace_id"], event["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_colors_are_for_terminals(no_color: str, colored: bool) -> None:
    here, there = pty.openpty()
    code = "from server import logs\nimport logging\nlogs.start('info', as_json=False, with_prompts=False)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": no_color}
    subprocess.run([sys.executable, "-c", f"{code}logging.error('bad')"], env=environment, stderr=there, check=True)
    os.close(there)
    line = os.read(here, 10_000).decode()
    os.close(here)
    assert "bad" in line
    assert ("\x1b[" in line) is colored
