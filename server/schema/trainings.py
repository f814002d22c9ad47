"""The parts of the OpenAPI document that tell of trainings: those that tell of predictions, in other words.

As in Cog, a training is asked for, answered, told of and canceled as a prediction is; so nothing is written down twice.
"""

from __future__ import annotations

import re
from typing import Any

_WORDS = re.compile(
    r"(?P<schema>#/components/schemas/)(?=(?:In|Out)put$)"
    r"|(?P<kept>[Pp]redict[_ ][Tt]ime)"
    r"|(?P<first>[Pp])redict(?P<run>ion)?"
)
_NOT_STREAMED = "A stream was asked for, and trainings are not streamed."


def in_trainings(part: Any) -> Any:
    """A part of the document with trainings in the place of predictions, and without streams: they have none."""
    match part:
        case dict():
            told = {_reword(key): in_trainings(value) for key, value in part.items() if key != "text/event-stream"}
            if "406" in told:
                told["406"] = {**told["406"], "description": _NOT_STREAMED}
            return told
        case list():
            return [in_trainings(item) for item in part]
        case str():
            return _reword(part)
    return part


def _reword(text: str) -> str:
    return _WORDS.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    if match["schema"]:
        return f"{match['schema']}Training"
    if match["kept"]:
        return match["kept"]
    train = "Train" if match["first"] == "P" else "train"
    return f"{train}ing" if match["run"] else train
