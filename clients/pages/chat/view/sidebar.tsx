import type { ChatInfo } from "parley-client";
import type { TargetedEvent } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { LanguageChoice, ThemeChoice } from "../../shared/settings.tsx";
import { IconButton, Menu, Popover, type MenuItem } from "../../shared/ui.tsx";
import { grouped } from "../decisions/grouping.ts";
import { addressOf, go, useApp } from "../state/app.ts";
import { words } from "../words.ts";
import { save } from "./attachments.tsx";

export const SEARCH = "search-field";

export function Sidebar({ narrow, onSwitch, onSignOut }: { narrow: boolean; onSwitch: (user: string) => void; onSignOut: () => void }) {
  const { drawer, list, conversation } = useApp();
  const text = words.value;
  const hidden = narrow && !drawer.value;
  const element = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    if (narrow && drawer.value) {
      element.current!.querySelector<HTMLElement>("button")?.focus();
    }
  }, [narrow, drawer.value]);
  return (
    <>
      {narrow && drawer.value && <div class="shade" onClick={() => (drawer.value = false)} />}
      <nav
        ref={element}
        class={drawer.value ? "sidebar open" : "sidebar"}
        aria-label={text.chats}
        inert={hidden}
        onKeyDown={(event) => {
          // A box that is open closes first. The focus may not be in it yet: it comes with an event after the opening.
          if (event.key === "Escape" && narrow && document.querySelector(":popover-open") === null) {
            event.stopPropagation();
            drawer.value = false;
          }
        }}
      >
        <div class="sidebar-head">
          <span class="brand">{text.appName}</span>
          {narrow && <IconButton icon="close" label={text.closeList} onClick={() => (drawer.value = false)} />}
        </div>
        <button type="button" class="button new-chat" onClick={() => { conversation.assistant.value = undefined; go(undefined); drawer.value = false; }}>
          <Icon name="plus" />
          {text.newChat}
        </button>
        <label class="search">
          <Icon name="search" />
          <span class="visually-hidden">{text.search}</span>
          <input
            id={SEARCH}
            type="search"
            placeholder={text.search}
            value={list.search.value}
            onInput={(event: TargetedEvent<HTMLInputElement>) => (list.search.value = event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape" && list.search.value !== "") {
                event.stopPropagation();
                list.search.value = "";
              }
            }}
          />
        </label>
        <ChatGroups />
        <Person onSwitch={onSwitch} onSignOut={onSignOut} />
      </nav>
    </>
  );
}

function ChatGroups() {
  const { list } = useApp();
  const text = words.value;
  const shown = list.shown.value;
  return (
    <div class="chat-groups">
      {grouped(shown, new Date()).map(({ period, chats }) => (
        <section key={period}>
          <h2>{text.period[period]}</h2>
          <ul>
            {chats.map((chat) => (
              <ChatItem key={chat.chatId} chat={chat} />
            ))}
          </ul>
        </section>
      ))}
      {list.loaded.value && shown.length === 0 && (
        <p class="quiet small empty-list" role="status">
          {list.search.value === "" ? text.noChats : text.nothingFound}
        </p>
      )}
      {list.hasMore.value && <MoreChats />}
    </div>
  );
}

/** Button for older chats. It presses itself when it comes into view, unless the person searches. */
function MoreChats() {
  const { list } = useApp();
  const button = useRef<HTMLButtonElement>(null);
  const searching = list.search.value !== "";
  const count = list.chats.value.length;
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => {
      if (entry!.isIntersecting && !searching) {
        void list.loadMore();
      }
    });
    observer.observe(button.current!);
    return () => observer.disconnect();
  }, [searching, count]);
  return (
    <button ref={button} type="button" class="button more-chats" onClick={() => void list.loadMore()} disabled={list.loading.value}>
      {words.value.showOlder}
    </button>
  );
}

function ChatItem({ chat }: { chat: ChatInfo }) {
  const { conversation, drawer } = useApp();
  const current = conversation.chatId.value === chat.chatId;
  return (
    <li class={current ? "chat-item current" : "chat-item"}>
      <a href={addressOf(chat.chatId)} aria-current={current ? "page" : undefined} title={chat.title} onClick={() => (drawer.value = false)}>
        {chat.title}
      </a>
      <Menu label={words.value.actionsOf(chat.title)} items={useChatActions(chat.chatId, chat.title)} />
    </li>
  );
}

/** Return what can be done with a chat, for a menu. */
export function useChatActions(chatId: string, title: string): MenuItem[] {
  const { dialog, http, failed } = useApp();
  const text = words.value;
  const fetchFile = async (format: "json" | "markdown") => {
    try {
      const url = URL.createObjectURL(await http.export(chatId, format));
      save(url, `${fileNameOf(title)}.${format === "json" ? "json" : "md"}`);
      // The browser has begun to store it by then.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      failed(error);
    }
  };
  return [
    { icon: "edit", label: text.rename, run: () => (dialog.value = { kind: "rename", chatId, title }) },
    { icon: "download", label: text.exportMarkdown, run: () => void fetchFile("markdown") },
    { icon: "download", label: text.exportJson, run: () => void fetchFile("json") },
    { icon: "trash", label: text.remove, bad: true, run: () => (dialog.value = { kind: "delete", chatId, title }) },
  ];
}

/** Return the title without the characters that the names of files may not have. */
function fileNameOf(title: string): string {
  return title.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, " ").replace(/\s+/g, " ").trim().slice(0, 80) || "chat";
}

/** The user, and the choices that hold for this device. */
function Person({ onSwitch, onSignOut }: { onSwitch: (user: string) => void; onSignOut: () => void }) {
  const { user, config, account, dialog } = useApp();
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const text = words.value;
  const users = config.token === undefined ? [] : (config.users ?? []);
  return (
    <div class="person">
      <button ref={button} type="button" class="person-button" popovertarget={id} aria-haspopup="dialog">
        <span class="avatar" aria-hidden="true">{(user.value ?? "?").slice(0, 1).toLocaleUpperCase()}</span>
        <span class="person-name">{user.value ?? text.settings}</span>
        <span class="visually-hidden">{text.settings}</span>
        <Icon name="more" />
      </button>
      <Popover id={id} anchor={button} label={text.settings} class="settings">
        {users.length > 1 && (
          <label class="user-choice">
            <span class="quiet small">{text.user}</span>
            <select class="field" value={user.value} onChange={(event: TargetedEvent<HTMLSelectElement>) => onSwitch(event.currentTarget.value)}>
              {users.map((name) => (
                <option key={name} value={name} selected={name === user.value}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        <ThemeChoice />
        <LanguageChoice />
        <div>
          <button type="button" class="menu-item" popovertarget={id} popovertargetaction="hide" onClick={() => (dialog.value = { kind: "shortcuts" })}>
            <Icon name="keyboard" />
            {text.shortcuts}
          </button>
          {account.signOut !== undefined && (
            <button type="button" class="menu-item" onClick={onSignOut}>
              <Icon name="user" />
              {text.signOut}
            </button>
          )}
        </div>
      </Popover>
    </div>
  );
}
