from cog import BasePredictor


class Predictor(BasePredictor):
    def run(self) -> str:
        raise NotImplementedError

    def predict(self) -> str:
        raise NotImplementedError


ERROR = (
    "run_and_predict.py:4: Predictor: it defines both run and predict, and only one can be what is served. "
    "Keep run, and give the other another name."
)
