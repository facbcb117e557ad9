"""An assistant without a model: it looks into a catalogue, and names its sources."""

from handlers.chat.assistants import Assistant, Delta, Source, Turn

BOOKS = {
    "Treasure Island": "https://www.gutenberg.org/ebooks/120",
    "The Sea-Wolf": "https://www.gutenberg.org/ebooks/1074",
    "Moby Dick": "https://www.gutenberg.org/ebooks/2701",
}


def search(words: str) -> list[str]:
    """Return the titles that have one of the words."""
    wanted = set(words.lower().split())
    return [title for title in BOOKS if wanted & set(title.lower().replace("-", " ").split())]


async def reply(turn: Turn):
    """Say what the catalogue has."""
    titles = await turn.step("search", search, turn.question)
    yield f"I have found {len(titles)} of {len(BOOKS)} books.\n"
    for title in titles:
        yield f"- {title}\n"
        yield Delta(source=Source(BOOKS[title], title))


assistant = Assistant(title="Librarian", starters=("sea island",))
