"""The machine-readable contract: documents that are generated from the code, and committed."""
