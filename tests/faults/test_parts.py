"""Parts of a reply on a running emulator: live, in the history, and after a resume."""

from tests.faults.reading import Reading
from tests.faults.users import ChatUser, check
from tests.support.devices import Device

THOUGHT = {"offset": 0, "kind": "reasoning", "text": "Hm."}


def test_reasoning_is_shown_live_in_the_history_and_after_a_resume(emulator):
    user = ChatUser(emulator)
    user.fault("model", "early-stop", "please think!")
    live = user.ask("please think!")
    assert (live.parts, live.completes[0]["partCount"]) == ({0: THOUGHT}, 1)
    check(user)

    device = Device(emulator.websocket_url)
    device.connection_id()
    [_, shown] = device.join(user.user_id, user.chat_id)["messages"]
    assert (shown["content"], shown["parts"]) == (live.text, [{"index": 0, **THOUGHT}])

    device.send("join_chat", chatId=user.chat_id, resume={"messageId": shown["messageId"], "offset": 0})
    device.receive("authenticated")
    device.receive("chat_joined")
    again = Reading()
    for frame in device.reply():
        again.take_frame(frame)
    assert (again.text, again.parts) == (live.text, live.parts)
    device.socket.close()
    user.leave()
