"""A plain function of the newer name."""


def run(name: str) -> str:
    return f"hello {name}"


REQUESTS = [{"input": {"name": "world"}}]
