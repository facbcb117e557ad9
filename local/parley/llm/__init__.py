"""Built-in language model with an OpenAI-compatible API."""
