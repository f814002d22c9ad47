"""What becomes of predictions, told to the operator: an event each, with the prediction's id."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from server.discretion import Redactor, shown, without_secrets
from server.errors import DarkroomError
from server.prediction import Prediction
from server.worker.messages import Failed, TerminalEvent

logger = logging.getLogger(__name__)


def accepted(prediction: Prediction, input: Mapping[str, Any], ahead: int | None) -> None:
    """Tell that a prediction will be run.

    Args:
        prediction: the new one.
        input: what others may see of its input, no secrets.
        ahead: how many wait before it; `None` where it does not wait.
    """
    place = None if ahead is None else ahead + 1
    _tell("Prediction accepted", prediction, place=place, private=lambda: {"inputs": shown(dict(input))})


def started(prediction: Prediction) -> None:
    """Tell that it is its turn, and how many seconds it waited for that."""
    assert prediction.started_at is not None
    waited = (prediction.started_at - prediction.created_at).total_seconds()
    _tell("Prediction started", prediction, wait_seconds=round(waited, 3))


def unpublished(prediction: Prediction, error: DarkroomError) -> None:
    """Tell that a file which the model put out could not be passed on."""
    cause = error.__cause__
    # Else the text names the file, which the model may have named after its prompt.
    reason = cause.strerror if isinstance(cause, OSError) else without_secrets(str(error))
    logger.error("Output could not be published", extra={"prediction": prediction.id, "reason": reason})


def canceling(prediction: Prediction) -> None:
    """Tell that somebody asked for its end."""
    _tell("Prediction is being canceled", prediction)


def ended(prediction: Prediction, input: Mapping[str, Any], end: TerminalEvent) -> None:
    """Tell how it ended and, where the model's code raised an exception, what and where.

    Args:
        prediction: as it is now.
        input: as in `accepted`.
        end: how it ended.
    """
    warnings = _warnings(prediction)
    trace = end.trace if isinstance(end, Failed) else ()

    def private() -> dict[str, Any]:
        return {
            "error": told_error(prediction, input),
            "exception": _joined(trace, _secrets(prediction, input)),
            "warning_details": shown(warnings) or None,
        }

    _tell(
        "Prediction ended",
        prediction,
        logging.ERROR if trace else logging.INFO,
        state=str(prediction.status),
        predict_seconds=round(prediction.metrics["predict_time"], 3),
        outputs=_number_of_outputs(prediction),
        refused=prediction.fault.input if prediction.fault else None,
        warnings=warning_codes(prediction) or None,
        exception=_joined(trace, prediction.input),
        private=private,
    )


def warning_codes(prediction: Prediction) -> list[str]:
    """The codes of its warnings, as the model chose them."""
    return [warning["code"] for warning in _warnings(prediction)]


def told_error(prediction: Prediction, input: Mapping[str, Any]) -> str | None:
    """Why it failed, as those may read it who may read prompts.

    Args:
        prediction: one that has ended.
        input: as in `accepted`.
    """
    return prediction.error and without_secrets(Redactor(_secrets(prediction, input)).redact(prediction.error))


def _secrets(prediction: Prediction, input: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in prediction.input.items() if name not in input}


def _tell(event: str, prediction: Prediction, level: int = logging.INFO, **facts: Any) -> None:
    logger.log(level, event, extra={"prediction": prediction.id, **facts})


def _joined(trace: Iterable[tuple[str, str]], input: Mapping[str, Any]) -> str | None:
    redactor = Redactor(input)
    return "".join(place + redactor.redact(what) for place, what in trace).rstrip() or None


def _number_of_outputs(prediction: Prediction) -> int:
    if not prediction.has_output or prediction.output is None:
        return 0
    return len(prediction.output) if isinstance(prediction.output, list) else 1


def _warnings(prediction: Prediction) -> list[dict[str, Any]]:
    # A metric, and so whatever the model makes of it.
    warnings = prediction.metrics.get("warnings")
    given = warnings if isinstance(warnings, list) else []
    return [one for one in given if isinstance(one, dict) and isinstance(one.get("code"), str)]
