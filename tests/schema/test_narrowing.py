"""What `narrow_inputs` makes of a signature, and what it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from server.cog import BasePredictor, Input, Path, Secret
from server.errors import SignatureError
from server.schema.inspect import inspect_predictor
from server.schema.narrowing import NARROWABLE, narrow
from server.schema.openapi import component_schemas
from server.schema.signature import RemovedInput, Signature


class Schedulers(Enum):
    DDIM = "DDIM"


class Narrowing(BasePredictor):
    def __init__(self, changes: Any) -> None:
        self.changes = changes

    def narrow_inputs(self) -> Any:
        return self.changes

    def predict(
        self,
        prompt: str = Input(max_length=100, min_length=1),
        seed: int = Input(default=None),
        mask: Path | None = Input(default=None),
        images: list[Path] = Input(default=[]),
        token: Secret | None = Input(default=None),
        scheduler: str | None = Input(default=None, choices=["DDIM", "PNDM", "UniPC"]),
        kinds: list[str] = Input(default=["a"], choices=["a", "b"]),
        style: str = Input(default="plain"),
        Output: str = Input(default="plain"),  # noqa: N803
        steps: int | None = Input(default=None, description="Steps", ge=1, le=500),
        width: int = Input(default=512, ge=64, le=2048),
        guidance: float = Input(default=7.5, ge=0),
        loud: bool = Input(default=False),
        size: int | str = Input(default=1),
    ) -> str:
        return prompt


SOURCE = inspect_predictor(Narrowing({}))


def narrowed(**changes: Any) -> Signature:
    return narrow(Narrowing(changes), SOURCE)


def properties(signature: Signature) -> Mapping[str, Any]:
    found: Mapping[str, Any] = component_schemas(signature)["Input"]["properties"]
    return found


def test_without_the_method_and_with_nothing_said_all_stays() -> None:
    class Plain(BasePredictor):
        def predict(self, text: str) -> str:
            return text

    signature = inspect_predictor(Plain())
    assert narrow(Plain(), signature) is signature
    assert narrowed() == SOURCE
    assert narrowed(steps={}) == SOURCE


def test_rules_and_defaults_are_those_of_the_loaded_model() -> None:
    schema = properties(
        narrowed(
            prompt={"max_length": 77, "min_length": 2, "description": "In English"},
            steps={"default": 4, "le": 8},
            width={"default": 1024, "ge": 256, "multiple_of": 16},
            guidance={"default": 0, "le": 1.5},
        )
    )
    assert schema["prompt"] == {
        "title": "Prompt",
        "type": "string",
        "description": "In English",
        "minLength": 2,
        "maxLength": 77,
        "x-order": 0,
    }
    steps = schema["steps"]
    assert (steps["default"], steps["minimum"], steps["maximum"], steps["description"]) == (4, 1, 8, "Steps")
    width = schema["width"]
    assert (width["default"], width["minimum"], width["maximum"], width["x-multiple-of"]) == (1024, 256, 2048, 16)
    assert "multipleOf" not in width
    assert (schema["guidance"]["default"], schema["guidance"]["maximum"]) == (0, 1.5)


def test_choices_are_a_part_of_those_in_the_source() -> None:
    signature = narrowed(
        scheduler={"choices": [Schedulers.DDIM, "UniPC"], "default": Schedulers.DDIM},
        kinds={"choices": ("b",), "default": ["b"]},
        style={"choices": ["plain", "bold"]},
        steps={"choices": [1, 4], "default": 4},
    )
    schemas = component_schemas(signature)
    enums = {name: schemas[name]["enum"] for name in ("scheduler", "kinds", "style", "steps")}
    assert enums == {
        "scheduler": ["DDIM", "UniPC"],
        "kinds": ["b"],
        "style": ["plain", "bold"],
        "steps": [1, 4],
    }
    assert properties(signature)["scheduler"]["default"] == "DDIM"


def test_a_default_may_become_none_where_the_type_allows_it() -> None:
    signature = narrow(Narrowing({"steps": {"default": None}}), narrowed(steps={"default": 4}))
    assert properties(signature)["steps"]["default"] is None


def test_what_the_model_cannot_take_is_gone_and_remembered() -> None:
    signature = narrowed(mask="it has no form for inpainting. ", images=None, loud="")
    assert not {"mask", "images", "loud"} & properties(signature).keys()
    fields = {field.name: field for field in SOURCE.inputs}
    assert signature.removed == (
        RemovedInput(fields["mask"], "it has no form for inpainting"),
        RemovedInput(fields["images"]),
        RemovedInput(fields["loud"]),
    )
    assert (signature.output, signature.description) == (SOURCE.output, SOURCE.description)


REFUSED: list[tuple[dict[Any, Any], str]] = [
    (
        {"maks": None},
        "maks: the signature has no such input, and only what it has can be narrowed. Name one of these: ",
    ),
    ({1: None}, "1: the signature has no such input"),
    ({"prompt": None}, "prompt: it is required and cannot be removed: predict would have no value for it. Keep it"),
    ({"seed": "no noise"}, "seed: it is required and cannot be removed"),
    ({"prompt": {"default": "a cat"}}, "prompt: it is required, and with the default 'a cat' it would not be. Remove"),
    ({"steps": 4}, "steps: 4 does not say what becomes of it. Write a dict such as"),
    ({"steps": ["default"]}, "steps: ['default'] does not say what becomes of it"),
    ({"steps": False}, "steps: False does not say what becomes of it"),
    ({"steps": {"maximum": 4}}, f"steps: 'maximum' cannot be narrowed. Use {', '.join(NARROWABLE)}."),
    ({"steps": {"regex": "a"}}, "steps: 'regex' cannot be narrowed"),
    ({"steps": {3: 4}}, "steps: 3 cannot be narrowed"),
    (
        {"steps": {"ge": 0}},
        "steps: ge=0 is less than the 1 of the signature, which can only be narrowed. Write 1 or more",
    ),
    (
        {"steps": {"le": 501}},
        "steps: le=501 is more than the 500 of the signature, which can only be narrowed. Write 500",
    ),
    ({"steps": {"le": None}}, "steps: le=None says nothing. Leave le out, to keep what the signature has."),
    ({"steps": {"le": "8"}}, "steps: le='8' is no finite number"),
    ({"steps": {"le": float("nan")}}, "steps: le=nan is no finite number"),
    ({"steps": {"ge": 9, "le": 8}}, "steps: no number is at least 9 and at most 8"),
    ({"prompt": {"max_length": 101}}, "prompt: max_length=101 is more than the 100 of the signature"),
    ({"prompt": {"min_length": 0}}, "prompt: min_length=0 is less than the 1 of the signature"),
    ({"prompt": {"ge": 1}}, "prompt: ge=1 is only for numbers, and its type is string"),
    ({"prompt": {"description": 3}}, "prompt: description=3 is no text"),
    ({"steps": {"default": 0}}, "steps: the default 0 breaks its own rule: 0 is less than the minimum of 1."),
    ({"steps": {"default": "4"}}, "steps: the default '4' breaks its own rule"),
    ({"steps": {"default": object()}}, "is not JSON, so no client could see it"),
    ({"width": {"le": 256}}, "width: the default 512 breaks its own rule: 512 is greater than the maximum of 256."),
    ({"width": {"default": None}}, "width: the default None does not fit its type. Write a value"),
    ({"mask": {"default": "a.png"}}, "mask: a file cannot have a default, such as 'a.png'"),
    ({"token": {"default": "hunter2"}}, "token: a secret cannot have a default: it would be published."),
    (
        {"scheduler": {"choices": ["LCM"]}},
        "scheduler: the signature does not have the choice 'LCM', and can only be nar",
    ),
    ({"scheduler": {"choices": []}}, "scheduler: choices=[] allows no value at all"),
    ({"scheduler": {"choices": "DDIM"}}, "scheduler: choices='DDIM' is no list"),
    ({"scheduler": {"choices": [1]}}, "scheduler: the choice 1 is a int, and the type is string"),
    ({"scheduler": {"choices": ["DDIM"], "default": "PNDM"}}, "scheduler: the default 'PNDM' breaks its own rule"),
    ({"kinds": {"choices": ["b"]}}, "kinds: the default ['a'] breaks its own rule"),
    ({"kinds": {"default": 5}}, "kinds: the default 5 breaks its own rule"),
    ({"loud": {"choices": [True]}}, "loud: choices are only for strings and numbers"),
    ({"Output": {"choices": ["plain"]}}, "Output: a parameter with choices cannot have this name"),
    ({"size": {"ge": 1}}, "size: constraints and choices do not work on a union"),
    ({"width": {"multiple_of": 0}}, "width: multiple_of=0 is no whole number from 1 up"),
    ({"width": {"multiple_of": 1.5}}, "width: multiple_of=1.5 is no whole number from 1 up"),
    (
        {"width": {"multiple_of": 48}},
        "width: the default 512 is not a multiple of 48. Change the default, or multiple_of.",
    ),
    ({"guidance": {"multiple_of": 2}}, "guidance: multiple_of=2 is only for whole numbers, and its type is number"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_not_narrower_is_refused(changes: dict[Any, Any], message: str) -> None:
    with pytest.raises(SignatureError) as caught:
        narrow(Narrowing(changes), SOURCE)
    assert message in str(caught.value)
    assert f"test_narrowing.py:{Narrowing.narrow_inputs.__code__.co_firstlineno}: " in str(caught.value)


@pytest.mark.parametrize("returned", [None, [("steps", None)], "steps"])
def test_what_is_no_mapping_is_refused(returned: object) -> None:
    with pytest.raises(SignatureError, match=r"narrow_inputs: it returns .*, and no mapping"):
        narrow(Narrowing(returned), SOURCE)


def test_a_coroutine_is_refused() -> None:
    class Async(Narrowing):
        async def narrow_inputs(self) -> Any:
            return {}

    with pytest.raises(SignatureError, match=r"Write def narrow_inputs\(self\) without async"):
        narrow(Async({}), SOURCE)


def test_what_is_no_method_is_refused() -> None:
    predictor = Narrowing({})
    predictor.narrow_inputs = {"steps": None}  # type: ignore[method-assign, assignment]
    with pytest.raises(SignatureError, match=r"narrow_inputs: it is {'steps': None}, and no method"):
        narrow(predictor, SOURCE)


def test_what_the_method_raises_is_passed_on() -> None:
    class Broken(Narrowing):
        def narrow_inputs(self) -> Any:
            return 1 // 0

    with pytest.raises(ZeroDivisionError):
        narrow(Broken({}), SOURCE)
