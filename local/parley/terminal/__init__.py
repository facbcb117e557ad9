"""`parley chat` and the smoke test: what a person runs in a terminal against a chat. They stand on `parley.client`."""
