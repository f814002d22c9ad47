"""`BaseRunner` and `BasePredictor`: the base classes of what is served."""

from __future__ import annotations

import warnings
from typing import Any

from server.cog.scope import Scope, current_scope
from server.cog.types import Path


class BaseRunner:
    """The base class of a model: override `setup` and `run`.

    class Runner(BaseRunner):
        def setup(self):
            self.model = load_model()

        def run(self, prompt: str = Input(description="What to say")) -> str:
            return self.model.generate(prompt)

    A subclass may call its method `predict`, the older name; then `run` calls it.
    """

    def setup(self, weights: Path | str | None = None) -> None:
        """Get ready; called once before the first prediction.

        Args:
            weights: where the weights are, from the environment variable `COG_WEIGHTS`.
        """

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Make one prediction from the inputs that the subclass's own signature names.

        Raises:
            NotImplementedError: the subclass overrides neither this nor `predict`.
        """
        if method_owner(type(self), "predict") and not method_owner(type(self), "run"):
            return self.predict(*args, **kwargs)
        raise NotImplementedError(f"run has not been implemented by {type(self).__name__}")

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """The older name of `run`."""
        warnings.warn(
            f"{type(self).__name__}.predict() is deprecated; use run() instead", DeprecationWarning, stacklevel=2
        )
        return self.run(*args, **kwargs)

    @property
    def scope(self) -> Scope:
        """The scope of the running prediction; outside one, a scope that records nothing."""
        return current_scope()

    def record_metric(self, key: str, value: Any, mode: str = "replace") -> None:
        """Record a metric of the running prediction, as `Scope.record_metric` does."""
        self.scope.record_metric(key, value, mode=mode)


class BasePredictor(BaseRunner):
    """The older name of `BaseRunner`."""


def method_owner(cls: type, name: str) -> type | None:
    """The class that defines the method `name` for `cls`, or `None` where only a base class of Cog does.

    Bases listed after one of Cog's are not looked at: Python finds Cog's own method first.
    """
    for owner in cls.__mro__:
        if owner in (BaseRunner, BasePredictor, object):
            return None
        if callable(getattr(owner.__dict__.get(name), "__func__", owner.__dict__.get(name))):
            return owner
    return None
