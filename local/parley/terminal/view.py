"""View of the chat: events of the client go in, actions of the screen come out. No I/O."""

from __future__ import annotations

from parley.client import events
from parley.client.frames import ListedAssistant
from parley.client.messages import Message
from parley.terminal import parts, texts
from parley.terminal.actions import Action, End, Line, Stream, Style


class View:
    """The chat as the screen shows it. With `costs` the cost of each reply follows it."""

    def __init__(self, *, costs: bool = False) -> None:
        self._costs = costs
        self._parts = parts.PartLines()
        self._assistants: dict[str, ListedAssistant] = {}
        self._chat_id: str | None = None
        self._was_offline = False

    def show(self, event: object) -> list[Action]:
        """Return the actions for an event. Other values, such as commands to the connection, show nothing."""
        match event:
            case events.ReplyText(_, text):
                return [*self._parts.texts(), Stream(text)]
            case events.ReplyStarted(_, _, replaces):
                self._parts = parts.PartLines()
                return [Line("The reply is written again.")] if replaces is not None else []
            case events.ReplyRestarted():
                self._parts = parts.PartLines()
                return [Line("The reply starts over.")]
            case events.ReplyPart(_, part):
                return [*self._parts.take(part)]
            case events.ReplyEnded(message):
                return self._end(message)
            case events.ReplyLeft():
                return [End()]
            case events.CallAnswered(call_id, approved, waited):
                done = "approved" if approved else "rejected"
                return [Line(f"Tool {self._parts.name_of(call_id)}: {done}")] if waited else []
        return self._show_chat(event)

    def _end(self, message: Message) -> list[Action]:
        lines: list[Action] = [*self._parts.texts(), End()]
        if message.finish_reason not in (None, "stop"):
            lines.append(Line(f"The reply ended early: {message.finish_reason}."))
        return [*lines, *(texts.cost(message.cost) if self._costs else [])]

    def _show_chat(self, event: object) -> list[Action]:
        match event:
            case events.Greeted(_, assistants):
                return self._greet(assistants)
            case events.ChatOpened():
                return self._open(event)
            case events.MessageMissed(message):
                return _message(message)
            case events.EarlierMessages(()):
                return [Line("There are no earlier messages.")]
            case events.EarlierMessages(messages):
                return [action for message in messages for action in _message(message)]
        return self._show_others(event)

    def _show_others(self, event: object) -> list[Action]:
        match event:
            case events.UserMessage(message, own):
                return [] if own else [texts.message(message)]
            case events.ChatUpdated(chat_id, title):
                return [Line(f"Title: {title}")] if chat_id == self._chat_id else []
            case events.ChatDeleted(chat_id) if chat_id == self._chat_id:
                return [Line("This chat was deleted. `/new` starts a new one.", Style.ERROR)]
            case events.BranchSelected():
                return [Line("The chat shows another branch now.")]
        return self._show_trouble(event)

    def _show_trouble(self, event: object) -> list[Action]:
        match event:
            case events.Notice(text):
                return [Line(f"Notice: {text}")]
            case events.MessageHeld():
                return [Line(texts.MESSAGE_HELD)]
            case events.ServerError():
                return [texts.refusal(event)]
            case events.GatewayError(text):
                return [texts.gateway_error(text)]
            case events.Unreadable(text):
                return [Line(f"The server sent an unreadable frame: {text}", Style.ERROR)]
            case events.StateChanged(state):
                return self._change(state)
        return []

    def _change(self, state: str) -> list[Action]:
        was_offline, self._was_offline = self._was_offline, state == "offline"
        if state == "offline" and not was_offline:
            return [Line("The connection was lost. Reconnecting …")]
        return [Line("Reconnected.")] if state == "online" and was_offline else []

    def _greet(self, listed: tuple[ListedAssistant, ...]) -> list[Action]:
        known, self._assistants = self._assistants, {each.id: each for each in listed}
        return [*texts.assistants(listed)] if self._assistants != known else []

    def _open(self, chat: events.ChatOpened) -> list[Action]:
        self._chat_id = chat.chat_id
        named = chat.assistant
        assistant = self._assistants.get(named, ListedAssistant(named, named)) if named else None
        return [*texts.opened(chat, assistant), *(texts.starters(assistant) if chat.is_new else [])]


def _message(message: Message) -> list[Action]:
    """Return the lines of a stored message, its parts before its text."""
    return [*parts.stored(message.parts), texts.message(message)]
