"""`BaseRunner`, `BasePredictor`, `BaseModel` and `Coder`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from server.cog import BaseModel, BasePredictor, BaseRunner
from server.cog.coder import Coder
from server.cog.predictor import method_owner


def test_run_calls_predict_of_the_older_kind() -> None:
    class Echo(BasePredictor):
        def predict(self, text: str) -> str:
            return text

    assert Echo().run(text="hello") == "hello"
    assert Echo().run("hello") == "hello"


def test_predict_calls_run_of_the_newer_kind() -> None:
    class Echo(BaseRunner):
        def run(self, text: str) -> str:
            return text

    with pytest.warns(DeprecationWarning, match=r"Echo\.predict\(\) is deprecated; use run\(\) instead"):
        assert Echo().predict("hello") == "hello"


def test_without_either_there_is_nothing_to_run() -> None:
    class Empty(BaseRunner):
        pass

    Empty().setup()
    with pytest.raises(NotImplementedError, match="run has not been implemented by Empty"):
        Empty().run()


def test_outside_a_prediction_a_metric_goes_nowhere() -> None:
    BaseRunner().record_metric("a", 1)
    assert repr(BaseRunner().scope) == "Scope(MetricRecorder(inactive))"


def test_the_owner_of_a_method() -> None:
    class Parent(BaseRunner):
        def run(self) -> str:
            return "parent"

    class Child(Parent):
        pass

    class Mixin:
        def predict(self) -> str:
            return "mixin"

    class Before(Mixin, BaseRunner):
        pass

    class After(BaseRunner, Mixin):
        pass

    class Static(BaseRunner):
        @staticmethod
        def run() -> str:
            return "static"

    class Attribute(BaseRunner):
        run = None  # type: ignore[assignment]

    assert method_owner(Child, "run") is Parent
    assert method_owner(Before, "predict") is Mixin
    assert method_owner(After, "predict") is None
    assert method_owner(Static, "run") is Static
    assert method_owner(Attribute, "run") is None


def test_a_model_is_a_dataclass() -> None:
    class Output(BaseModel):
        text: str
        score: float = 0.5

    class Longer(Output):
        words: int = 0

    assert dataclasses.asdict(Longer("hello", words=1)) == {"text": "hello", "score": 0.5, "words": 1}


def test_a_model_passes_arguments_to_dataclass() -> None:
    class Frozen(BaseModel, frozen=True):
        text: str

    with pytest.raises(dataclasses.FrozenInstanceError):
        Frozen("a").text = "b"  # type: ignore[misc]


def test_a_model_may_be_made_by_hand() -> None:
    class ByHand(BaseModel, auto_dataclass=False):
        def __init__(self) -> None:
            self.text = "hello"

    assert not dataclasses.is_dataclass(ByHand)
    assert ByHand().text == "hello"


def test_a_model_made_by_hand_cannot_be_below_a_dataclass() -> None:
    class Output(BaseModel):
        text: str

    with pytest.raises(ValueError, match='"ByHand" has auto_dataclass=False, but its base class "Output"'):

        class ByHand(Output, auto_dataclass=False):
            pass


def test_a_models_first_base_is_a_model() -> None:
    class Other:
        pass

    with pytest.raises(TypeError, match='Primary base class of "Output" must inherit from BaseModel'):

        class Output(Other, BaseModel):
            text: str


def test_a_dataclass_cannot_be_mixed_in() -> None:
    @dataclasses.dataclass
    class Extra:
        words: int

    with pytest.raises(TypeError, match='Cannot mixin dataclass "Extra"'):

        class Output(BaseModel, Extra):
            text: str


def test_coders_are_found_by_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coder, "_coders", set())

    class ComplexCoder(Coder):
        @staticmethod
        def factory(tpe: type[Any]) -> Coder | None:
            return ComplexCoder() if tpe is complex else None

        def encode(self, x: Any) -> dict[str, Any]:
            return {"real": x.real, "imag": x.imag}

        def decode(self, x: dict[str, Any]) -> Any:
            return complex(x["real"], x["imag"])

    Coder.register(ComplexCoder)
    coder = Coder.lookup(complex)
    assert coder is not None
    assert coder.decode(coder.encode(1 + 2j)) == 1 + 2j
    assert Coder.lookup(int) is None
