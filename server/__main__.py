"""`python -m server` is `darkroom`."""

from server.cli import main

main()
