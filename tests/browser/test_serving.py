"""The pages as the emulator serves them: they come up, and their policy lets them work."""

import pytest

from tests.support.devices import Emulator


@pytest.fixture(scope="module")
def emulator():
    emulator = Emulator()
    yield emulator
    emulator.stop()


def test_the_banner_names_both_pages_and_they_open(emulator, person):
    addresses = {
        line.split()[0]: line.split()[1] for line in emulator.output if line.startswith(("  Chat", "  Console"))
    }
    assert addresses == {"Chat": f"{emulator.url}/", "Console": f"{emulator.url}/_parley/"}
    anna = person()
    for address, title in ((addresses["Chat"], "Parley"), (addresses["Console"], "Parley console")):
        page = anna.tab(address)
        page.wait_for_function(f"document.title.includes({title!r})")
        page.locator("h1").first.wait_for(state="attached")
