"""Types that Cog is told not to look into."""

from typing import Annotated

from cog import BasePredictor, Opaque


class Message:
    pass


class Predictor(BasePredictor):
    def predict(
        self, messages: Annotated[list[Message], Opaque], one: Annotated[Message, Opaque] | None = None
    ) -> Annotated[Message, Opaque]:
        return {"messages": messages, "one": one}


REQUESTS = [
    {"input": {"messages": [{"role": "user"}]}},
    {"input": {"messages": [], "one": {"a": 1}}},
    {"input": {"messages": "a"}},
    {"input": {"messages": [1]}},
    {"input": {"messages": [{}], "one": 3}},
]
