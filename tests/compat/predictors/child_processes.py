"""Output of child processes, and of code that writes to the file descriptor."""

import os
import subprocess

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, kind: str) -> str:
        if kind == "inherited":
            subprocess.run(["echo", "from a child"], check=True)
        elif kind == "captured":
            print(subprocess.run(["echo", "captured"], check=True, capture_output=True, text=True).stdout, end="")
        elif kind == "descriptor":
            os.write(1, b"raw\n")
        return kind


REQUESTS = [
    {"input": {"kind": "captured"}},
    {"input": {"kind": "inherited"}, "ours": {"logs": "from a child\n"}, "because": "CHILD_OUTPUT"},
    {"input": {"kind": "descriptor"}, "ours": {"logs": "raw\n"}, "because": "CHILD_OUTPUT"},
]
