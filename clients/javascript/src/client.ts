import { Chat } from "./chat.ts";
import { ParleyError } from "./errors.ts";
import { Listeners } from "./events.ts";
import type { ClientLimits, ConnectedData, ServerFrame } from "./frames.ts";
import { HttpApi } from "./http.ts";
import { Link, type LinkHost, type Socket } from "./link.ts";
import { type Runtime, systemRuntime } from "./runtime.ts";
import { Tokens } from "./tokens.ts";
import type { Assistant, ClientEvents, ClientState, Closed, TokenSource } from "./types.ts";

export interface ClientOptions {
  /** The address of the WebSocket API: `wss://…`. */
  url: string | URL;
  token: TokenSource;
  /** The constructor of sockets, where there is no global one, as in Node 20: `import { WebSocket } from "ws"`. */
  WebSocket?: new (url: string) => Socket;
  /** Time, chance and ids, for tests. Default: `systemRuntime`. */
  runtime?: Runtime;
}

/** A user's connection to Parley. It connects with the first chat that is opened or created, or with `connect()`. */
export class ParleyClient {
  /** What the server has said in its greeting, and the user of the token. `undefined` before. */
  userId: string | undefined;
  protocol: string | undefined;
  limits: ClientLimits | undefined;
  assistants: readonly Assistant[] | undefined;
  closedBecause: Closed | undefined;

  readonly #url: string;
  readonly #WebSocket: (new (url: string) => Socket) | undefined;
  readonly #runtime: Runtime;
  readonly #tokens: Tokens;
  readonly #listeners = new Listeners<ClientEvents>();
  readonly #links: Link[] = [];
  readonly #chats = new Map<Chat, Link>();
  readonly #host: LinkHost;
  #state: ClientState = "idle";
  #sockets = 0;
  #unwatch: (() => void) | undefined;
  readonly #notices = new Set<string>();
  readonly #titles = new Map<string, string>();
  readonly #deleted = new Set<string>();

  constructor(options: ClientOptions) {
    this.#url = new URL(options.url).href.replace(/^http/, "ws");
    this.#WebSocket = options.WebSocket;
    this.#runtime = options.runtime ?? systemRuntime;
    this.#tokens = new Tokens(options.token, () => this.#runtime.now());
    this.#host = {
      runtime: this.#runtime,
      tokens: this.#tokens,
      openSocket: () => this.#openSocket(),
      number: () => ++this.#sockets,
      greeted: (greeting) => this.#greeted(greeting),
      authenticated: (userId) => {
        this.userId = userId;
      },
      received: (frame) => this.#received(frame),
      changed: () => this.#update(),
      closed: (because) => this.#end(because),
      failed: (error) => this.#listeners.emit("error", error),
      seen: (direction, connection, frame) => this.#listeners.emit("frame", { direction, connection, frame }),
    };
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Connect, if that has not begun. After `closed`, try again. */
  connect(): void {
    if (this.#state === "closed") {
      this.closedBecause = undefined;
      this.#state = "idle";
    }
    this.#unwatch ??= this.#runtime.watch?.((what) => this.#links.forEach((link) => link.wake(what)));
    if (this.#links.length === 0) {
      this.#links.push(new Link(this.#host));
    }
    this.#links.forEach((link) => link.connect());
  }

  /** Create a chat. A repeat after a lost connection is the same chat. Resolved when the chat may be used. */
  createChat(options: { title?: string; assistant?: string; clientChatId?: string } = {}): Promise<Chat> {
    const create = { ...options, clientChatId: options.clientChatId ?? this.#runtime.id() };
    return this.#open({ create, isRepeat: options.clientChatId !== undefined });
  }

  /** Open a chat. A chat that is open is returned again. Rejected with the code `chat_not_found` if there is none. */
  openChat(chatId: string): Promise<Chat> {
    const open = [...this.#chats.keys()].find((chat) => chat.id === chatId);
    return open ? open.opened.then(() => open) : this.#open({ chatId });
  }

  /** Return the HTTP API at an address, for this client's user. */
  http(url: string | URL): HttpApi {
    return new HttpApi({ url, token: (reason) => this.#tokens.get(reason) });
  }

  /** Listen to an event. Returns a function that ends this. */
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void {
    return this.#listeners.on(name, listener);
  }

  /** Close all chats and connections. What was not acknowledged fails with the code `closed`. */
  close(): void {
    for (const chat of [...this.#chats.keys()]) {
      chat.giveUp(new ParleyError("closed", "The client was closed"), true);
    }
    this.#end({ code: "closed", message: "The client was closed" });
  }

  async #open(what: ConstructorParameters<typeof Chat>[1]): Promise<Chat> {
    this.connect();
    const used = new Set(this.#chats.values());
    let link = this.#links.find((each) => !used.has(each));
    if (link === undefined) {
      link = new Link(this.#host);
      this.#links.push(link);
      link.connect();
    }
    const chat = this.#chat(what, link);
    this.#chats.set(chat, link);
    link.attach(chat.conversation);
    await chat.opened;
    return chat;
  }

  #chat(what: ConstructorParameters<typeof Chat>[1], link: Link): Chat {
    const chat: Chat = new Chat(
      {
        id: () => this.#runtime.id(),
        now: () => this.#runtime.now(),
        send: (frame) => link.sendFrame(frame),
        act: (action) => link.act(action),
        closed: () => this.#release(chat, link),
      },
      what,
      link.foreignReplies,
    );
    return chat;
  }

  /** A chat is closed. One connection stays, for the next chat and for what the user is told. */
  #release(chat: Chat, link: Link): void {
    this.#chats.delete(chat);
    if (this.#links.length > 1) {
      this.#links.splice(this.#links.indexOf(link), 1);
      link.close();
    } else {
      link.release();
    }
  }

  #openSocket(): Socket {
    const Constructor = this.#WebSocket ?? (globalThis as { WebSocket?: new (url: string) => Socket }).WebSocket;
    if (Constructor === undefined) {
      throw new Error("There is no WebSocket here. Give the client one, as its option `WebSocket`");
    }
    return new Constructor(this.#url);
  }

  #greeted(greeting: ConnectedData): void {
    this.protocol = greeting.protocol;
    this.limits = greeting.limits;
    this.assistants = greeting.assistants;
  }

  /** Take a frame that may come on several connections. */
  #received(frame: ServerFrame): void {
    switch (frame.type) {
      case "notice": {
        const { noticeId, message } = frame.data;
        if (noticeId == null || !this.#notices.has(noticeId)) {
          this.#notices.add(noticeId ?? "");
          this.#listeners.emit("notice", { message, ...(noticeId != null && { noticeId }) });
        }
        break;
      }
      case "chat_updated": {
        const { chatId, title } = frame.data;
        if (this.#titles.get(chatId) !== title) {
          this.#titles.set(chatId, title);
          this.#listeners.emit("chatUpdated", { chatId, title });
        }
        break;
      }
      case "chat_deleted":
        if (!this.#deleted.has(frame.data.chatId)) {
          this.#deleted.add(frame.data.chatId);
          this.#listeners.emit("chatDeleted", { chatId: frame.data.chatId });
        }
        break;
    }
  }

  #end(because: Closed): void {
    this.closedBecause = because;
    this.#links.forEach((link) => link.close());
    this.#unwatch?.();
    this.#unwatch = undefined;
    for (const chat of this.#chats.keys()) {
      chat.giveUp(new ParleyError("closed", because.message), !chat.isOpened);
    }
    this.#set("closed");
  }

  #update(): void {
    if (this.closedBecause === undefined) {
      const isUp = this.#links.some((link) => link.isUp);
      const hasTried = this.#links.some((link) => link.session.hasTried);
      this.#set(isUp ? "online" : hasTried ? "offline" : "connecting");
    }
  }

  #set(state: ClientState): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#listeners.emit("state", state);
    }
  }
}
