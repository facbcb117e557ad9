"""The domain: chats, messages, turns and the frames that clients see."""
