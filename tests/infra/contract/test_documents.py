"""The machine-readable contract: its documents are those that the code makes."""

from __future__ import annotations

import pytest

from infra.contract.documents import DOCS, DOCUMENTS, text_of


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_document_is_what_the_code_says(name):
    assert (DOCS / name).read_text() == text_of(name), "the code has changed: run `make contract`"
