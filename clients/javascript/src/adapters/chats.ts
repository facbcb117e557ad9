/** The chats of an adapter by the ids that its application uses. */
import type { Chat } from "../chat.ts";
import type { ParleyClient } from "../client.ts";
import { ParleyError } from "../errors.ts";

export interface NewChat {
  /** The assistant of chats that the adapter creates. */
  assistant?: string;
  /** The title of chats that the adapter creates. Without it, the server makes one. */
  title?: string;
}

/**
 * Chats by id. An id is that of a chat of Parley, or one that the application has made up. For the second a chat is
 * created when the first message is sent; a made-up id leads to the same chat as long as this object lives.
 */
export class Chats {
  readonly #known = new Map<string, Promise<Chat>>();

  constructor(
    readonly client: ParleyClient,
    readonly newChat: NewChat = {},
  ) {}

  /** Return the chat of an id, `undefined` if there is none. */
  async find(id: string): Promise<Chat | undefined> {
    const known = await this.#known.get(id);
    if (known !== undefined) {
      // One that was closed is opened again. If it is deleted now, that is an error: its messages are on the screen.
      return known.snapshot.state === "closed" ? this.#keep(id, this.client.openChat(known.id)) : known;
    }
    try {
      return await this.#keep(id, this.client.openChat(id));
    } catch (error) {
      if (isNotFound(error)) {
        return undefined;
      }
      throw error;
    }
  }

  /** Return the chat of an id. If there is none, it is created. */
  async findOrCreate(id: string): Promise<Chat> {
    const found = await this.find(id);
    return found ?? this.#keep(id, this.client.createChat({ ...this.newChat, clientChatId: id }));
  }

  /** Keep a chat for an id, unless it cannot be opened. */
  async #keep(id: string, opening: Promise<Chat>): Promise<Chat> {
    const before = this.#known.get(id);
    this.#known.set(id, opening);
    try {
      return await opening;
    } catch (error) {
      if (before === undefined) {
        this.#known.delete(id);
      } else {
        this.#known.set(id, before);
      }
      throw error;
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof ParleyError && (error.code === "chat_not_found" || error.code === "invalid_format");
}
