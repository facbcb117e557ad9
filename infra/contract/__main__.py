"""Write the documents of the contract: `make contract`."""

from __future__ import annotations

from infra.contract.documents import DOCS, DOCUMENTS, text_of

for name in DOCUMENTS:
    text = text_of(name)
    (DOCS / name).write_text(text)
    print(f"docs/{name}: {len(text):,} characters")
