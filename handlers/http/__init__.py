"""The HTTP API beside the socket: FastAPI, which only the function `api` may load."""
