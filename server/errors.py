"""Every exception of Darkroom that somebody may want to catch.

A message names the value, the rule that it breaks and the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass


class DarkroomError(Exception):
    """Reported to the person by its message alone; anything else that is raised is a bug and shows a traceback."""


class ManifestError(DarkroomError):
    """`cog.yaml` is missing, is not YAML, or does not name a predictor."""


class ListenError(DarkroomError):
    """The address to serve on is taken, not ours, or no address."""


class DeviceError(DarkroomError):
    """`--devices` asks for a GPU that is not there or not to be used, or for all where there is none."""


class PredictorNotFound(DarkroomError):
    """The file or the name in a reference such as `predict.py:Predictor` does not exist."""


class SignatureError(DarkroomError):
    """The signature of `predict`, or what `narrow_inputs` makes of it, cannot be served.

    Args:
        location: `file:line` of the function or method.
        parameter: the parameter at fault, or `return`.
        rule: what is not allowed, naming the type or value.
        remedy: what to write instead.
    """

    def __init__(self, location: str, parameter: str, rule: str, remedy: str) -> None:
        super().__init__(f"{location}: {parameter}: {rule}. {remedy}")
        self.location = location
        self.parameter = parameter
        self.rule = rule
        self.remedy = remedy


class UnsupportedType(DarkroomError):
    """An annotation, or what `Input` says of it, cannot be served; becomes a `SignatureError` that says where.

    Args:
        rule: what is not allowed, naming the type.
        remedy: what to write instead.
    """

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.remedy = remedy


@dataclass(frozen=True)
class Violation:
    """One way in which a request breaks the schema.

    Attributes:
        loc: path to the value, such as `("body", "input", "steps")`.
        msg: what is wrong.
        type: the class of error, `value_error` or `value_error.missing`.
    """

    loc: tuple[str, ...]
    msg: str
    type: str = "value_error"


class InvalidRequest(DarkroomError):
    """A request is well-formed JSON that breaks the schema; answered with 422 and the list of violations."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(f"{'.'.join(v.loc)}: {v.msg}" for v in violations))
        self.violations = violations


class InputRefused(InvalidRequest):
    """The model itself refused an input, by an exception that names it: what only the loaded model can tell.

    Args:
        input: its name.
        message: what is wrong with it.
    """

    def __init__(self, input: str, message: str) -> None:
        super().__init__([Violation(("body", "input", input), message)])


class InputFileError(DarkroomError):
    """A file input could not be fetched, decoded or stored; the prediction fails."""


class OutputError(DarkroomError):
    """A file that the model put out could not be read or published; the prediction fails."""


class WrongMode(DarkroomError):
    """A training was asked of a server that predicts, or a prediction of one that trains, and its inputs do not fit."""


class NotReady(DarkroomError):
    """The worker takes no predictions: setup has not finished, or failed."""


class AtCapacity(DarkroomError):
    """Every slot is busy and the server was told to keep no queue."""


class QueueFull(DarkroomError):
    """Every slot is busy and the queue is full.

    Args:
        length: how many predictions wait.
        retry_after: seconds after which to try again, 1 or more.
    """

    def __init__(self, length: int, retry_after: int) -> None:
        super().__init__(f"The queue is full: {length} predictions are waiting. Try again in {retry_after} s.")
        self.retry_after = retry_after


class PredictionExists(DarkroomError):
    """A new prediction has the id of one that has not ended."""


class ShuttingDown(DarkroomError):
    """The server is stopping and takes no new predictions."""


class StoreError(DarkroomError):
    """What is kept of predictions could not be opened, read or written."""


class StoreInUse(StoreError):
    """Another process keeps its predictions in the same database."""


class WorkerError(DarkroomError):
    """The worker process could not do what was asked."""


class WorkerNotReady(WorkerError):
    """A prediction was handed to a worker that is not ready."""


class ConnectionClosed(WorkerError):
    """The other end of the connection between parent and child is gone."""


class SetupError(WorkerError):
    """The model could not be imported, inspected or set up."""


class PredictionFailed(DarkroomError):
    """A prediction on the command line ended without success."""


class ReproductionError(DarkroomError):
    """A picture cannot be made again: its file does not tell how, or what that needs is not there."""


class MalformedBody(DarkroomError):
    """The body of a request is not JSON."""


class UnexpectedBody(DarkroomError):
    """The body of a request is JSON of another shape than asked for."""


class StreamingNotSupported(DarkroomError):
    """A stream was asked of a model that is not marked for it, and the server is told to stream no other."""


class UnsupportedContentType(DarkroomError):
    """The body of a request does not claim to be JSON."""


class BodyTooLarge(DarkroomError):
    """The body of a request is longer than the server takes."""


class UnsendableMessage(WorkerError):
    """A value cannot travel between parent and child: it is too large, nested too deep, or not JSON."""
