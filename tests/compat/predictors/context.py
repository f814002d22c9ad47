"""The request's context, which the model can read."""

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self) -> dict:
        return {"scope": current_scope().context, "self": self.scope.context}


REQUESTS = [
    {"body": {"input": {}, "context": {"user": "a", "é": ""}}},
    {"body": {"input": {}, "context": {}}},
    {"body": {"input": {}}},
    {"body": {"input": {}, "context": {"a": 1}}},
]
