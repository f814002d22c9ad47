"""`suppress_output`."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, sys
from server.cog.suppress_output import suppress_output
print("before")
try:
    with suppress_output():
        print("hidden")
        print("hidden", file=sys.stderr)
        os.system("echo hidden; echo hidden >&2")
        raise KeyError("out")
except KeyError:
    print("after")
    print("after", file=sys.stderr)
"""


def test_what_is_written_meanwhile_does_not_show() -> None:
    process = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert (process.stdout, process.stderr) == ("before\nafter\n", "after\n")
