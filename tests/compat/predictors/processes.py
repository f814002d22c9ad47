"""Multiprocessing, in each way to start a process, `os.fork`, and what setup has started."""

import multiprocessing
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor

from cog import BasePredictor


def square(number: int) -> int:
    return number * number


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.pool = ProcessPoolExecutor(1)
        self.program = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def predict(self, kind: str) -> list[int]:
        if kind == "of setup":
            self.program.stdin.write("7\n")
            self.program.stdin.flush()
            return [int(self.program.stdout.readline()), self.pool.submit(square, 2).result()]
        if kind == "os.fork":
            read, write = os.pipe()
            if os.fork() == 0:
                os.write(write, b"7")
                os._exit(0)
            os.wait()
            return [int(os.read(read, 1))]
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as pool:
            return list(pool.map(square, range(4)))


REQUESTS = [
    {"input": {"kind": "fork"}},
    {"input": {"kind": "spawn"}},
    {"input": {"kind": "forkserver"}},
    {"input": {"kind": "os.fork"}},
    {"input": {"kind": "of setup"}},
    {"input": {"kind": "of setup"}},
]
