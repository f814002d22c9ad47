"""The exceptions of Cog's Python package."""


class CancelationException(BaseException):
    """Raised inside a synchronous prediction that was canceled.

    It is no `Exception`, so that a model's `except Exception` does not swallow it. Code that catches it to clean up
    must raise it again.
    """


class CogError(Exception):
    """The base class of Cog's own errors."""


class ConfigDoesNotExist(CogError):
    """There is no `cog.yaml`."""


class PredictorNotSet(CogError):
    """`cog.yaml` names no predictor, and one is needed."""
