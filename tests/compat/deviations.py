"""Where Darkroom differs from Cog on purpose.

`python -m tests.compat.deviations > docs/compatibility.md` makes the page; a test fails where the two differ.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeVar


class Difference(NamedTuple):
    """One row of the page.

    Attributes:
        area: the heading that it stands under.
        cog: what Cog does.
        darkroom: what Darkroom does instead.
        why: the reason.
        elsewhere: the test that shows it, unless the tests of this folder do.
        by_chance: whether Cog does it only most of the time: it is a race.
    """

    area: str
    cog: str
    darkroom: str
    why: str
    elsewhere: str = ""
    by_chance: bool = False


_OUTPUTS = "Outputs"
_INPUTS = "Inputs"
_LOGS = "Logs"
_LIFE = "Setup, health and crashes"
_CANCEL = "Cancelling"
_TRAINING = "Training"
_HTTP = "HTTP"
_TRACES = "Traces"


class Deviation(Enum):
    """All of them."""

    MORE_OUTPUTS = Difference(
        _OUTPUTS,
        "A coroutine, an asynchronous generator from a synchronous `predict`, an iterator that is no generator, "
        "`numpy.bool_`, a file opened as text or made by `tempfile` cannot be an output.",
        "They can.",
        "What they mean is plain, and nobody relies on the failure.",
    )
    OUTPUT_ERRORS = Difference(
        _OUTPUTS,
        "An output that is not JSON fails with what a parser or a caller in between had to say: "
        "`Failed to parse output JSON: expected value at line 1 column 8`.",
        "The error names the type, and the value where that is at fault.",
        "The author of the model has to find it.",
    )
    EMPTY_OUTPUTS = Difference(
        _OUTPUTS,
        "An empty set and an empty array of numpy come out as `null`, an empty list as `[]`.",
        "All come out as `[]`.",
        "The schema says array.",
    )
    BIG_INTEGERS = Difference(
        _OUTPUTS,
        "An integer of more than 64 bits is rounded to a float.",
        "It stays as it is.",
        "JSON has such numbers, and clients that cannot read them round by themselves.",
    )
    MISSING_FILES = Difference(
        _OUTPUTS,
        "A path that leads to no file, or to a folder, gives `null` (in a list: nothing at all) and `succeeded`.",
        "The prediction fails and names the path.",
        "A client that paid for a picture should not be told that all went well.",
    )
    RETURNED_INPUTS = Difference(
        _OUTPUTS,
        "A file that came as an input and is returned as output is removed before it is read: `null`.",
        "It comes out.",
        "It exists when `predict` returns it.",
        by_chance=True,
    )
    ASYNC_GENERATORS = Difference(
        _OUTPUTS,
        "What an asynchronous generator yields is collected and told at the end; "
        "if it fails or is canceled, all of it is lost.",
        "Each piece is told when it is yielded, as those of a synchronous generator.",
        "That is what yielding is for.",
    )
    UPLOADS = Difference(
        _OUTPUTS,
        "With `--upload-url`, the URLs of a list come in the order in which the uploads ended, after all that is no "
        "file; open files are named by number; `#` and `?` in a name cut its URL.",
        "The order is kept, open files keep their names, and names are escaped.",
        "The order of pictures means something.",
        by_chance=True,
    )
    MEDIA_TYPES = Difference(
        _OUTPUTS,
        "Some 700 rare extensions have media types of their own, such as `.wks` of Microsoft Works.",
        "They are `application/octet-stream`; every type that Darkroom does give is the same.",
        "No model writes them.",
    )
    FRESH_DEFAULTS = Difference(
        _INPUTS,
        "A default list is one object: what `predict` adds to it is there in the next prediction.",
        "Each prediction gets a copy.",
        "One client's data must not reach another.",
    )
    FILE_INPUTS = Difference(
        _INPUTS,
        "A `File` is a `BytesIO`, or an object that downloads when it is first read.",
        "A `File` is an open file on disk, with a name, that was downloaded before `predict` ran. "
        "Where that failed, the error is that of a `Path`.",
        "It can be sought in, is as large as the disk, and fails early.",
    )
    FETCH_ERRORS = Difference(
        _INPUTS,
        "A file that cannot be fetched fails with the words of the library in use: "
        "`not enough values to unpack (expected 2, got 1)`.",
        "The error names the input, the URL and the reason. Of an HTTP status the words are Cog's.",
        "A request may have several files.",
    )
    NARROWED_INPUTS = Difference(
        _INPUTS,
        "A method `narrow_inputs` of the predictor is one like any other: what the source says of the inputs holds.",
        "It is asked after `setup`, and what it says holds from then on: see [Writing predict.py](python.md). Without "
        "such a method nothing differs.",
        "Which inputs a model can honour, and with what defaults, is known when it is loaded.",
    )
    REFUSED_INPUTS = Difference(
        _INPUTS,
        "Whatever `predict` raises makes a failed prediction, which is answered with 200.",
        "So it does; but where the exception has an attribute `input`, the name of one of the inputs, a client that "
        "waits for the end gets 422 with the input and what is wrong with it, and the log no traceback.",
        "It is the same to a client whether the schema or the model knows that a value will not do.",
    )
    CHILD_OUTPUT = Difference(
        _LOGS,
        "What child processes, C code and `sys.stdout.buffer` write goes to the server's console only.",
        "It is in the prediction's logs too; between lines of Python's own the order may differ.",
        "ffmpeg's complaint is what one looks for.",
    )
    UNFINISHED_LINES = Difference(
        _LOGS,
        "A last line without its newline is missing, and begins the logs of the next prediction.",
        "It ends the logs of the prediction that wrote it.",
        "One client's data must not reach another.",
    )
    STREAM_METHODS = Difference(
        _LOGS,
        "`sys.stdout` has no `writelines` and other methods that libraries call.",
        "It is an `io.TextIOWrapper`.",
        "Nothing has to be written for Cog.",
    )
    MAIN_THREAD = Difference(
        _LIFE,
        "A synchronous `predict` runs outside the main thread, where Python allows no signal handlers.",
        "It runs in the main thread.",
        "Alarms, and libraries that set handlers, work.",
    )
    ASYNC_EXIT = Difference(
        _LIFE,
        "`SystemExit` or `KeyboardInterrupt` in an asynchronous `predict` ends its event loop: "
        "the prediction, and all that follow, never end.",
        "That prediction fails, as a synchronous one does.",
        "A hang helps nobody.",
    )
    CRASH_ERRORS = Difference(
        _LIFE,
        "A worker that dies fails its predictions with `Worker crashed`.",
        "`Worker crashed: ` is followed by the exit status or the signal, and what it may mean.",
        "Running out of memory, above all, should be said.",
    )
    CRASH_RECOVERY = Difference(
        _LIFE,
        "A worker that died is not replaced: health stays UNHEALTHY, and predictions get 409.",
        "A new one is started; predictions wait for it; health is STARTING, then READY. "
        "DEFUNCT is a replacement that failed.",
        "One bad input must not end the service.",
    )
    SETUP_LOGS = Difference(
        _LIFE,
        "The `setup.logs` of a setup that failed are one line with the exception.",
        "They are what `setup` printed, then the traceback.",
        "The line alone seldom says where.",
    )
    RUNTIME_LOGS = Difference(
        _LIFE,
        "The `setup.logs` hold, beside what `setup` printed, what Cog says of its own start: "
        "`Spawning worker subprocess`, `Server ready`.",
        "They are what the model wrote and nothing else.",
        "How the server starts is in its own log.",
    )
    EARLY_SCHEMA = Difference(
        _LIFE,
        "`/openapi.json` is 503, and `GET /` lists no trainings, until setup is over.",
        "The one is there as soon as `predict.py` is imported, the other at once.",
        "Loading weights changes nothing about it, unless the model narrows its inputs: then it is another from that "
        "moment on.",
    )
    REFUSED_SIGNATURES = Difference(
        _LIFE,
        "`cog build` reads the signature from the source, without running it, and refuses what it cannot describe. "
        "A server without that build's schema checks no inputs.",
        "The server reads the signature from the imported class when it starts, and refuses the same, "
        "with line, parameter, rule and remedy. Inputs are always checked.",
        "There is no build step.",
        elsewhere="tests/schema/test_inspect.py",
    )
    SWALLOWED_CANCEL = Difference(
        _CANCEL,
        "A generator that swallows its cancel goes on, and what it yields is still told by webhooks, "
        "until it ends as `canceled`.",
        "It is stopped at its next `yield`; one that never gets there is killed after `--cancel-grace` seconds.",
        "The client asked for the end, and the next one waits.",
    )
    EARLY_CANCEL = Difference(
        _CANCEL,
        "A cancel, or a client that leaves, in the first milliseconds is lost.",
        "It counts from the moment the prediction was accepted.",
        "It is a race in Cog.",
        elsewhere="tests/api/test_predictions.py",
    )
    LATE_CANCEL = Difference(
        _CANCEL,
        "A canceled prediction may take long to end, as code in C does not notice; "
        "a cancel that comes again gets 200 until then, and 404 afterwards.",
        "Most end at once. A cancel that comes again gets 200 afterwards, too.",
        "Whoever cancels twice should not need luck.",
    )
    OWN_CANCELATION = Difference(
        _CANCEL,
        "`CancelationException` raised by an asynchronous model itself fails the prediction; "
        "by a synchronous one, it ends it as canceled.",
        "Either ends as canceled.",
        "The exception says so.",
    )
    OTHER_MODE = Difference(
        _TRAINING,
        "A server runs `predict` for a request to `/trainings` too, and with `--x-mode train` it runs `train` for "
        "`/predictions`; inputs that the function does not have or allow reach it, and Python complains.",
        "So it does where the inputs fit what runs, and the header `X-Darkroom-Warning` says so. Where they do not, "
        "the prediction fails with what does not fit and how to start a server for the other.",
        "An unexpected keyword argument explains nothing.",
    )
    TRAINERS = Difference(
        _TRAINING,
        "A class that has `train`, but neither `run` nor `predict`, cannot be loaded, though the documents show one; "
        "a trainer that is an asynchronous generator fails.",
        "Both train.",
        "What they mean is plain.",
    )
    IMPORTED_TRAINERS = Difference(
        _TRAINING,
        "Of a predictor and a trainer, the server imports the one that it runs.",
        "It imports both, and sets up one. It does not start where either cannot be imported or served.",
        "What `train` takes is in the schema, and there is no build step.",
        elsewhere="tests/worker/test_trainers.py",
    )
    TRAINING_CHOICES = Difference(
        _TRAINING,
        "Where `predict` and `train` have an input of the same name with other choices, those of `predict` "
        "are published and hold for both.",
        "Each has its own.",
        "No training could choose what only `train` offers.",
        elsewhere="tests/schema/test_openapi.py",
    )
    SAME_ID = Difference(
        _HTTP,
        "POST with the id of a running prediction starts a second one under that id if a slot is free.",
        "It is refused: 409.",
        "Cancels and webhooks could not tell them apart.",
    )
    QUEUE = Difference(
        _HTTP,
        "With every slot taken, a prediction gets 409. So it does, at times, some milliseconds after the one before "
        "was answered, or when two arrive at once.",
        "100 may wait (`--queue-size`); then 429 with `Retry-After`. With `--queue-size 0` it is 409, "
        "and never while a slot is free.",
        "A 409 loses work.",
        elsewhere="tests/api/test_predictions.py",
    )
    WEBHOOK_ORDER = Difference(
        _HTTP,
        "Webhooks are sent all at once and arrive in any order.",
        "Each waits for the one before.",
        "The last to arrive should be the last that happened.",
        elsewhere="tests/service/test_webhooks.py",
    )
    IDS = Difference(
        _HTTP,
        "Any text is an id.",
        "An id is up to 200 letters, digits and `_ ~ : @ + = , - .`, no full stop in front: else 422, "
        "or 404 where it is in the URL.",
        "Ids are parts of URLs and file names, and from some Cog never recovers.",
        elsewhere="tests/api/bodies.py",
    )
    SECRETS = Difference(
        _HTTP,
        "The 202 to a second PUT of a running prediction tells its inputs, secrets too.",
        "Secrets are left out of it.",
        "The schema says `writeOnly`, and a secret is for the model alone.",
        elsewhere="tests/api/test_predictions.py",
    )
    BODIES = Difference(
        _HTTP,
        "A body without a content type is ignored in silence; of an object with the same key twice, the first level "
        "is refused (400) and what is below is not.",
        "A body without a content type gets 415; of equal keys the last counts, at every level.",
        "An ignored body looks like success.",
        elsewhere="tests/api/bodies.py",
    )
    STREAMS = Difference(
        _HTTP,
        "Only models marked `@streaming` answer `Accept: text/event-stream`; others answer 406.",
        "All do. With `--stream-any false` it is as in Cog.",
        "Logs and metrics are worth following, too.",
    )
    LOG_EVENTS = Difference(
        _HTTP,
        "A stream has one `log` event for each line.",
        "Lines that are written in quick succession may share one.",
        "A model that writes a lot should not be slowed down by it.",
    )
    ADDITIONS = Difference(
        _HTTP,
        "`/docs`, `GET /predictions` and `GET /predictions/{id}`, and those of `/trainings`, do not exist; "
        "unknown inputs, unknown keys of the body and unusable webhooks are ignored in silence.",
        "They exist; what was ignored is named in the header `X-Darkroom-Warning`; "
        "`GET /` is a page for who asks for HTML.",
        "Clients of Cog do not notice.",
        elsewhere="tests/api",
    )

    TRACES_WITHOUT_A_KEY = Difference(
        _TRACES,
        "Traces need `observability: traces: enabled` in `cog.yaml`, which `cog build` puts into the image, and then "
        "an endpoint.",
        "The endpoint is enough (`OTEL_EXPORTER_OTLP_ENDPOINT`, or `OTEL_TRACES_EXPORTER`); the key is ignored, and "
        "the log says so.",
        "Whether there is a collector is known where the server runs.",
        elsewhere="tests/test_tracing.py",
    )
    TRACES_BY_DEFAULT = Difference(
        _TRACES,
        "`OTEL_TRACES_SAMPLER` is `parentbased_always_off` unless set: only what the client's `traceparent` asks for.",
        "It is OpenTelemetry's default, `parentbased_always_on`.",
        "Whoever names a collector wants to see something there.",
        elsewhere="tests/test_tracing.py",
    )
    TRACES_OF_THE_DEAD = Difference(
        _TRACES,
        "The model's process exports its own spans, and takes those that it has not exported with it when it dies.",
        "It reports each span to the server when it begins and when it ends; what it has not ended ends with it, as "
        "failed.",
        "The prediction that died is the one to look at.",
        elsewhere="tests/test_tracing.py",
    )
    TRACES_BY_OTHER_MEANS = Difference(
        _TRACES,
        "Another header than `traceparent` (`trace_header`, Jaeger's format), and a provider of one's own "
        "(`telemetry.py`).",
        "`OTEL_PROPAGATORS` chooses the headers of requests; there is no provider of one's own.",
        "These are OpenTelemetry's own means.",
        elsewhere="tests/test_tracing.py",
    )
    TRACES_OF_WEBHOOKS = Difference(
        _TRACES,
        "Without a trace, webhooks carry the `traceparent` of the request.",
        "So they do; in a trace, that of the span of the attempt.",
        "The receiver is part of the trace.",
        elsewhere="tests/test_tracing.py",
    )


_Test = TypeVar("_Test", bound=Callable[..., None])
shown: set[Deviation] = set()
"""Those that a test function shows."""


def shows(*deviations: Deviation) -> Callable[[_Test], _Test]:
    """Say that a test function shows these, as a case does by `because`."""
    shown.update(deviations)
    return lambda test: test


def page() -> str:
    """`docs/compatibility.md`."""
    lines = [
        "# Compatibility with Cog",
        "",
        "Darkroom answers as Cog 0.23.1 does, down to the texts of errors: the tests in `tests/compat` send the same",
        "requests to both, for some hundred predictors, and compare. This page lists where the answers differ, all on",
        "purpose. It is made from `tests/compat/deviations.py`; the tests that show a difference name it.",
    ]
    for area in dict.fromkeys(deviation.value.area for deviation in Deviation):
        lines += ["", f"## {area}", "", "| What Cog does | What Darkroom does | Why |", "| --- | --- | --- |"]
        for deviation in Deviation:
            difference = deviation.value
            if difference.area == area:
                lines.append(f"| {difference.cog} | {difference.darkroom} | {difference.why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
