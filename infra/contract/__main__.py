"""Write the documents of the contract: `make contract`."""

from __future__ import annotations

from infra.contract.documents import DOCS, documents

for name, text in documents().items():
    (DOCS / name).write_text(text)
    print(f"docs/{name}: {len(text):,} characters")
