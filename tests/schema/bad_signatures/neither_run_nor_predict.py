from cog import BasePredictor


class Predictor(BasePredictor):
    def generate(self) -> str:
        raise NotImplementedError


ERROR = "neither_run_nor_predict.py:4: Predictor: it defines neither run nor predict. Define run(self, ...)."
