"""Works with processes of its own: forked, spawned, and other programs."""

import multiprocessing
import os
import subprocess
import sys

from cog import BasePredictor, Path


def square(number: int) -> int:
    print(f"squaring {number}", flush=True)
    return number**2


def describe(path: Path) -> str:
    return f"{type(path).__module__} {path}"


class Predictor(BasePredictor):
    def predict(self, how: str) -> str:
        match how:
            case "fork" | "spawn" | "forkserver":
                with multiprocessing.get_context(how).Pool(2) as pool:
                    return f"{pool.map(square, range(4))} {pool.apply(describe, (Path('x'),))}"
            case "program":
                code = "import cog, cog.types; assert cog.Path is cog.types.Path; print(cog.__version__)"
                return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
            case "os.fork":
                if child := os.fork():
                    return f"the child ended with {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"
                print("in the child", flush=True)
                os._exit(5)
        raise ValueError(how)
