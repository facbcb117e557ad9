"""`parley chat`, the terminal client."""
