"""Names, values and modes of metrics that are refused; each with what it raises."""

from cog import BasePredictor, current_scope

CALLS = [
    ("", 1, None),
    (".a", 1, None),
    ("a.", 1, None),
    ("a..b", 1, None),
    ("1a", 1, None),
    ("_a", 1, None),
    ("a_", 1, None),
    ("a__b", 1, None),
    ("a-b", 1, None),
    ("a b", 1, None),
    ("é", 1, None),
    ("a.1", 1, None),
    ("a.b.c.d", 1, None),
    ("a.b.c.d.e", 1, None),
    ("x" * 128, 1, None),
    ("x" * 129, 1, None),
    ("predict_time", 1, None),
    ("cog.x", 1, None),
    ("cog", 1, None),
    ("A_1.b2", 1, None),
    ("v", None, None),
    ("v", b"a", None),
    ("v", (1, 2), None),
    ("v", {1, 2}, None),
    ("v", object, None),
    ("v", [object], None),
    ("m", 1, "add"),
    ("m", 1, "increment"),
    ("m", "a", "incr"),
    ("m", True, "incr"),
    ("t", 1, "replace"),
    ("t", "a", "replace"),
    ("t", 1.5, "replace"),
    ("t", True, "replace"),
    ("l", 1, "append"),
    ("l", "a", "append"),
]


class Predictor(BasePredictor):
    def predict(self) -> list[str]:
        return [self._record(*call) for call in CALLS]

    def _record(self, name, value, mode) -> str:
        try:
            if mode is None:
                current_scope().record_metric(name, value)
            else:
                current_scope().record_metric(name, value, mode)
        except BaseException as error:
            return f"{name!r:.20} {value!r:.20} {mode}: {type(error).__name__}: {error}"
        return f"{name!r:.20} {value!r:.20} {mode}: taken"


REQUESTS = [{"input": {}}]
