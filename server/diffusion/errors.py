"""What can go wrong in the engine. A message names the value, the rule that it breaks and the remedy."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message: libraries add pages of advice."""
    return str(error).strip().partition("\n")[0]


class DiffusionError(Exception):
    """Any of the errors below; its message is written for the person who sent the request or started the server."""


class ModelError(DiffusionError):
    """The model cannot be found, fetched or loaded."""


class InputError(DiffusionError):
    """The loaded model cannot do what an input asks for.

    Attributes:
        input: the input's name.
    """

    def __init__(self, input: str, message: str) -> None:
        super().__init__(f"{input}: {message}")
        self.input = input


class PicturesWithheld(DiffusionError):
    """The model's own safety checker blacked out every picture of the request."""


class OutOfMemory(DiffusionError):
    """The request needs more memory than the device has left."""


class MetadataError(DiffusionError):
    """A file does not tell how its picture was made, or what it tells cannot be used."""
