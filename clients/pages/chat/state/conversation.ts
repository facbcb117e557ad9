/** The chat that is open, as the page shows it. */
import { computed, effect, signal } from "@preact/signals";
import { ParleyError, type Attachment, type Chat, type ChatSnapshot, type HttpApi, type Message, type ParleyClient, type Rating, type Turn } from "parley-client";
import type { ChatList } from "./list.ts";
import { oncePerFrame } from "./frames.ts";

export type Conversation = ReturnType<typeof createConversation>;

interface World {
  client: ParleyClient;
  http: HttpApi;
  list: ChatList;
  /** Something that the user asked for did not work. */
  failed: (error: unknown) => void;
  /** The chat has its id now, and the address of the page shall have it. */
  created: (chatId: string) => void;
  /** The chat is gone. */
  lost: () => void;
}

export function createConversation({ client, http, list, failed, created, lost }: World) {
  /** The chat that the page is about, also while it is being opened. Undefined for a new one. */
  const chatId = signal<string | undefined>(undefined);
  const snapshot = signal<ChatSnapshot | undefined>(undefined);
  /** The first message of a new chat, until the chat exists. */
  const first = signal<Message | undefined>(undefined);
  const assistant = signal<string | undefined>(undefined);
  const editing = signal<string | undefined>(undefined);
  const ratings = signal<ReadonlyMap<string, Rating | null>>(new Map());
  let chat: Chat | undefined;
  let creation: Promise<Chat> | undefined;
  let unsubscribe = () => {};

  function leave(): void {
    unsubscribe();
    unsubscribe = () => {};
    chat?.close();
    chat = creation = undefined;
    chatId.value = snapshot.value = first.value = editing.value = undefined;
    ratings.value = new Map();
  }

  function enter(opened: Chat): void {
    chat = opened;
    chatId.value = opened.id;
    const show = oncePerFrame(() => {
      if (chat === opened) {
        snapshot.value = opened.snapshot;
      }
    });
    unsubscribe = opened.subscribe(show);
    snapshot.value = opened.snapshot;
  }

  /** Open a chat. Without an id the page shows a new one, which the first message creates. */
  async function show(id: string | undefined): Promise<void> {
    if (id === chatId.value && (id !== undefined || creation === undefined)) {
      return;
    }
    leave();
    if (id === undefined) {
      return;
    }
    chatId.value = id;
    try {
      const opened = await client.openChat(id);
      if (chatId.value === id) {
        enter(opened);
      } else {
        opened.close();
      }
    } catch (error) {
      if (chatId.value === id) {
        failed(error);
        if (error instanceof ParleyError && (error.code === "chat_not_found" || error.code === "chat_deleted")) {
          lost();
        }
      }
    }
  }

  /** Return the chat, and create it if it is new. */
  async function existing(): Promise<Chat> {
    if (chat !== undefined) {
      return chat;
    }
    const creating = (creation ??= client.createChat(assistant.value === undefined ? {} : { assistant: assistant.value }));
    try {
      const made = await creating;
      if (creation === creating && chat === undefined) {
        const now = new Date().toISOString();
        list.add({ chatId: made.id, title: made.title, assistant: made.assistant, updatedAt: now });
        enter(made);
        created(made.id);
      }
      return made;
    } catch (error) {
      if (creation === creating) {
        creation = undefined;
      }
      throw error;
    }
  }

  /** A refusal stands at its message, so nobody else has to be told. */
  function follow(turn: Turn): void {
    turn.accepted.catch(() => {});
    turn.reply.catch(() => {});
  }

  async function send(text: string, attachments: readonly Attachment[] = []): Promise<void> {
    if (chat === undefined) {
      first.value = { id: "first", role: "user", text, status: "sending", parts: [], attachments };
    }
    try {
      const to = await existing();
      const turn = to.send(text, { attachments });
      follow(turn);
      list.touch(to.id);
      if (chat !== to) {
        // The user has gone to another chat meanwhile. The message goes where it belongs.
        void turn.accepted.catch(failed).finally(() => to.close());
        return;
      }
      snapshot.value = to.snapshot;
      first.value = undefined;
    } catch (error) {
      const failure = error instanceof ParleyError ? error : new ParleyError("internal", String(error));
      if (first.value !== undefined) {
        first.value = { ...first.value, status: "failed", error: failure };
      }
    }
  }

  /** Do something with the open chat, and tell the user if it does not work. */
  async function attempt(action: (chat: Chat) => Promise<unknown>): Promise<void> {
    try {
      if (chat !== undefined) {
        await action(chat);
      }
    } catch (error) {
      failed(error);
    }
  }

  return {
    chatId,
    assistant,
    editing,
    ratings,
    snapshot,
    messages: computed(() => snapshot.value?.messages ?? (first.value === undefined ? [] : [first.value])),
    state: computed(() => snapshot.value?.state ?? (chatId.value === undefined ? "ready" : "joining")),
    title: computed(() => snapshot.value?.title ?? (chatId.value === undefined ? undefined : list.titleOf(chatId.value))),
    /** A message may not be changed while a reply is being made. */
    busy: computed(() => ["replying", "waiting", "offline"].includes(snapshot.value?.state ?? "")),
    show,
    leave,
    send,
    existing: async () => (await existing()).id,
    retry(message: Message): void {
      const id = message.clientMessageId;
      if (chat !== undefined && id !== undefined) {
        follow(chat.retry(id));
      } else {
        void send(message.text, message.attachments);
      }
    },
    discard(message: Message): void {
      if (message.clientMessageId !== undefined) {
        chat?.discard(message.clientMessageId);
      }
      first.value = undefined;
    },
    edit(message: Message, text: string): void {
      editing.value = undefined;
      if (chat !== undefined) {
        follow(chat.edit(message.id, text, { attachments: message.attachments ?? [] }));
        list.touch(chat.id);
      }
    },
    regenerate: () =>
      attempt(async (chat) => {
        const turn = chat.regenerate();
        turn.reply.catch(() => {});
        await turn.accepted;
      }),
    stop: () => attempt((chat) => chat.cancel()),
    approve: (callId: string, approved: boolean) => attempt((chat) => chat.approve(callId, approved)),
    select: (messageId: string) => attempt((chat) => chat.select(messageId)),
    load: (messageId: string) => attempt((chat) => chat.load(messageId)),
    loadOlder: () => attempt((chat) => chat.loadMore(100)),
    rate: (messageId: string, rating: Rating | null) =>
      attempt(async (chat) => {
        const before = ratings.value;
        ratings.value = new Map(before).set(messageId, rating);
        try {
          await http.feedback(chat.id, messageId, rating);
        } catch (error) {
          ratings.value = before;
          throw error;
        }
      }),
  };
}

/** Call back when a reply has ended, or waits for the user: for those who hear the page instead of seeing it. */
export function watchReplies(conversation: Conversation, ended: (reply: Message) => void, waits: () => void): () => void {
  let before: ChatSnapshot | undefined;
  return effect(() => {
    const now = conversation.snapshot.value;
    if (now !== undefined && before?.replyId !== undefined && now.replyId !== before.replyId) {
      const replyId = before.replyId;
      const reply = now.messages.findLast((message) => message.id === replyId && message.status === "done");
      if (reply !== undefined) {
        ended(reply);
      }
    }
    if (now?.state === "waiting" && before?.state !== "waiting" && before?.replyId === now.replyId) {
      waits();
    }
    before = now;
  });
}
