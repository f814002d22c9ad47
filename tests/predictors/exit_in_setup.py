"""Ends its process, or only seems to, while it is set up, in the way that the variable HOW names."""

import os
import signal
import sys
import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("setting up")
        match os.environ["HOW"]:
            case "sys.exit":
                sys.exit(4)
            case "os._exit":
                os._exit(3)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(1000)

    def predict(self) -> str:
        return "never"
