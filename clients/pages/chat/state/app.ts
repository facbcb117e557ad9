/** Everything that a signed-in user's page knows: it is made for one user, and thrown away with the user. */
import { batch, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { ParleyClient, ParleyError, type Assistant, type ClientState, type Closed } from "parley-client";
import type { Account } from "../accounts.ts";
import type { Config } from "../config.ts";
import { spoken } from "../decisions/format.ts";
import { words } from "../words.ts";
import { createConversation, watchReplies } from "./conversation.ts";
import { createChatList } from "./list.ts";
import { createUploads } from "./uploads.ts";

export interface Notice {
  readonly id: number;
  readonly message: string;
}

export type App = ReturnType<typeof createApp>;

/** Longer replies are read aloud only in their beginning. */
const SPOKEN_CHARS = 600;

export function createApp(config: Config, account: Account, refused: () => void) {
  const client = new ParleyClient({ url: config.webSocketUrl, token: account.token });
  const http = client.http(config.httpUrl);
  const connection = signal<ClientState>(client.state);
  const closed = signal<Closed | undefined>(undefined);
  const user = signal(account.user);
  const assistants = signal<readonly Assistant[]>([]);
  const notices = signal<readonly Notice[]>([]);
  const problem = signal<unknown>(undefined);
  const announcement = signal("");
  const drawer = signal(false);
  const dialog = signal<Dialog | undefined>(undefined);
  let numbers = 0;

  const failed = (error: unknown) => {
    problem.value = error;
  };
  const list = createChatList(http, failed);
  const conversation = createConversation({
    client,
    http,
    list,
    failed,
    created: (chatId) => history.replaceState(null, "", addressOf(chatId)),
    lost: () => go(undefined),
  });
  const uploads = createUploads(http, conversation.existing);

  const ends = [
    client.on("state", (state) => {
      batch(() => {
        connection.value = state;
        closed.value = client.closedBecause;
        user.value = client.userId ?? user.value;
      });
      if (state === "online") {
        assistants.value = client.assistants ?? assistants.value;
        void list.refresh();
      }
      if (state === "closed" && client.closedBecause?.code === "invalid_token") {
        refused();
      }
    }),
    client.on("notice", ({ message }) => {
      notices.value = [...notices.value, { id: ++numbers, message }];
    }),
    client.on("chatUpdated", ({ chatId, title }) => list.renamed(chatId, title)),
    client.on("chatDeleted", ({ chatId }) => {
      list.removed(chatId);
      if (conversation.chatId.value === chatId) {
        problem.value = new ParleyError("chat_deleted", "");
        go(undefined);
      }
    }),
    client.on("error", failed),
    watchReplies(
      conversation,
      (reply) => {
        announcement.value = words.value.replyDone(spoken(reply.text).slice(0, SPOKEN_CHARS));
      },
      () => {
        announcement.value = words.value.replyWaits;
      },
    ),
  ];

  const follow = () => void conversation.show(chatOf(location.hash));
  window.addEventListener("hashchange", follow);
  client.connect();
  follow();
  void http.assistants().then(
    (all) => {
      assistants.value = all;
    },
    () => {},
  );

  return {
    config,
    account,
    client,
    http,
    connection,
    closed,
    user,
    assistants,
    notices,
    problem,
    announcement,
    drawer,
    dialog,
    list,
    conversation,
    uploads,
    failed,
    dispose(): void {
      window.removeEventListener("hashchange", follow);
      ends.forEach((end) => end());
      conversation.leave();
      client.close();
    },
  };
}

export type Dialog =
  | { readonly kind: "rename" | "delete"; readonly chatId: string; readonly title: string }
  | { readonly kind: "shortcuts" };

export function addressOf(chatId: string | undefined): string {
  return chatId === undefined ? "#/" : `#/chat/${encodeURIComponent(chatId)}`;
}

function chatOf(hash: string): string | undefined {
  const id = /^#\/chat\/(.+)$/.exec(hash)?.[1];
  try {
    return id === undefined ? undefined : decodeURIComponent(id);
  } catch {
    return undefined;
  }
}

/** Show a chat, or a new one. The address says which, so that Back and a reload work. */
export function go(chatId: string | undefined): void {
  location.hash = addressOf(chatId);
}

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  return useContext(AppContext)!;
}
