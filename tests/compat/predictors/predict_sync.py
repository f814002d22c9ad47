"""A class with a synchronous `predict`, the usual shape."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(description="Whom to greet")) -> str:
        return f"hello {name}"


REQUESTS = [
    {"input": {"name": "world"}},
    {"input": {"name": ""}},
    {"input": {"name": 'Ünï "çødé" \\ \n\t\u0001\u2028 漢字 🍎'}},
    {"input": {"name": 3}},
    {"input": {}},
    {"input": {"other": "x"}},
    {"body": {}},
    {},
    {"input": {"name": "a"}, "path": "/predictions?query=1"},
    {"method": "PUT", "path": "/predictions/mine", "input": {"name": "put"}},
    {"method": "PUT", "path": "/predictions/mine", "input": {"name": "put again"}},
    {"method": "PUT", "path": "/predictions/mine", "body": {"id": "mine", "input": {"name": "same id"}}},
    {"method": "PUT", "path": "/predictions/mine", "body": {"id": "yours", "input": {"name": "other id"}}},
    {"body": {"id": "chosen", "input": {"name": "id"}}},
    {"body": {"input": {"name": "more"}, "context": {"a": "b"}, "unheard_of": [1]}},
    {"method": "POST", "path": "/predictions/mine/cancel"},
    {"method": "GET", "path": "/"},
    {"method": "GET", "path": "/health-check"},
    {"method": "GET", "path": "/openapi.json"},
]
