/** The list of the user's chats. */
import { computed, signal } from "@preact/signals";
import type { ChatInfo, HttpApi } from "parley-client";
import { matching } from "../decisions/grouping.ts";

const PAGE = 50;

export type ChatList = ReturnType<typeof createChatList>;

export function createChatList(http: HttpApi, failed: (error: unknown) => void) {
  const chats = signal<readonly ChatInfo[]>([]);
  const search = signal("");
  const loading = signal(false);
  const loaded = signal(false);
  const cursor = signal<string | null>(null);

  async function load(from?: string): Promise<void> {
    if (loading.value) {
      return;
    }
    loading.value = true;
    try {
      const page = await http.chats({ limit: PAGE, ...(from !== undefined && { cursor: from }) });
      chats.value = merged(chats.value, page.chats);
      // To read the first page again moves no cursor: the pages after it are here.
      if (from !== undefined || !loaded.value) {
        cursor.value = page.cursor;
      }
      loaded.value = true;
    } catch (error) {
      failed(error);
    } finally {
      loading.value = false;
    }
  }

  function change(chatId: string, fields: Partial<ChatInfo>): void {
    chats.value = merged(chats.value, chats.value.filter((chat) => chat.chatId === chatId).map((chat) => ({ ...chat, ...fields })));
  }

  return {
    chats,
    search,
    loading,
    loaded,
    hasMore: computed(() => cursor.value !== null),
    shown: computed(() => matching(chats.value, search.value)),
    /** Read the newest chats: at the start, after a time offline, and if there may be one that is not here. */
    refresh: () => load(),
    loadMore: () => (cursor.value === null ? Promise.resolve() : load(cursor.value)),
    titleOf: (chatId: string) => chats.value.find((chat) => chat.chatId === chatId)?.title,
    add: (chat: ChatInfo) => {
      chats.value = merged(chats.value, [chat]);
    },
    touch: (chatId: string) => change(chatId, { updatedAt: new Date().toISOString() }),
    /** Another device, or the server itself, has given a chat a title. */
    renamed: (chatId: string, title: string) => {
      if (chats.value.some((chat) => chat.chatId === chatId)) {
        change(chatId, { title });
      } else {
        void load();
      }
    },
    removed: (chatId: string) => {
      chats.value = chats.value.filter((chat) => chat.chatId !== chatId);
    },
    async rename(chatId: string, title: string): Promise<void> {
      change(chatId, { title: (await http.rename(chatId, title)).title });
    },
    async remove(chatId: string): Promise<void> {
      await http.delete(chatId);
      chats.value = chats.value.filter((chat) => chat.chatId !== chatId);
    },
  };
}

/** Return the chats with others in place of those with the same ids, the last used first. */
export function merged(chats: readonly ChatInfo[], others: readonly ChatInfo[]): readonly ChatInfo[] {
  const ids = new Set(others.map((chat) => chat.chatId));
  return [...others, ...chats.filter((chat) => !ids.has(chat.chatId))].sort((one, other) =>
    one.updatedAt < other.updatedAt ? 1 : one.updatedAt > other.updatedAt ? -1 : 0,
  );
}
