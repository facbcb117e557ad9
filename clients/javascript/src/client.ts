import type { Chat } from "./chat.ts";
import type { ClientLimits } from "./frames.ts";
import type { HttpApi } from "./http.ts";
import type { Runtime } from "./runtime.ts";
import type { Assistant, ClientEvents, ClientState, Closed, TokenSource } from "./types.ts";

export interface ClientOptions {
  /** The address of the WebSocket API: `wss://…`. */
  url: string | URL;
  token: TokenSource;
  /** The constructor of sockets, where there is no global one, as in Node 20: `import { WebSocket } from "ws"`. */
  WebSocket?: new (url: string) => WebSocket;
  /** Time, chance and ids, for tests. What is left out is the system's. */
  runtime?: Partial<Runtime>;
}

/** A user's connection to Parley. It connects with the first chat that is opened or created, or with `connect()`. */
export class ParleyClient {
  readonly state: ClientState = "idle";
  readonly closedBecause: Closed | undefined;
  /** What the server has said in its greeting, and the user of the token. `undefined` before. */
  readonly userId: string | undefined;
  readonly protocol: string | undefined;
  readonly limits: ClientLimits | undefined;
  readonly assistants: readonly Assistant[] | undefined;

  constructor(readonly options: ClientOptions) {}

  /** Connect, if that has not begun. After `closed`, try again. */
  connect(): void {
    throw notYet();
  }

  /** Create a chat. A repeat after a lost connection is the same chat. Resolved when the chat may be used. */
  createChat(_options?: { title?: string; assistant?: string; clientChatId?: string }): Promise<Chat> {
    throw notYet();
  }

  /** Open a chat. A chat that is open is returned again. Rejected with the code `chat_not_found` if there is none. */
  openChat(_chatId: string): Promise<Chat> {
    throw notYet();
  }

  /** Return the HTTP API at an address, for this client's user. */
  http(_url: string | URL): HttpApi {
    throw notYet();
  }

  /** Listen to an event. Returns a function that ends this. */
  on<Name extends keyof ClientEvents>(_name: Name, _listener: ClientEvents[Name]): () => void {
    throw notYet();
  }

  /** Close all chats and connections. What was not acknowledged fails with the code `closed`. */
  close(): void {
    throw notYet();
  }
}

function notYet(): Error {
  return new Error("This part of parley-client is not written yet.");
}
