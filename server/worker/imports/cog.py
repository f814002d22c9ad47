"""Lets `import cog`, in a Python process that a model has started, find what the model itself finds."""

from server.cog import alias

alias()
