"""The deployed code: a module for each Lambda function, `wiring` that builds their parts, and the domain in `chat`."""
