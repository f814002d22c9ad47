"""Every HTTP route. FastAPI appears here and in `server.app` only."""
