/** The page of a signed-in user. */
import { useEffect, useState } from "preact/hooks";
import { IconButton, Menu } from "../../shared/ui.tsx";
import { anywhere } from "../decisions/keys.ts";
import { go, useApp } from "../state/app.ts";
import { words } from "../words.ts";
import { Announcements, Banners } from "./banners.tsx";
import { Composer, FIELD, useDroppedFiles } from "./composer.tsx";
import { Dialogs } from "./dialogs.tsx";
import { Messages } from "./messages.tsx";
import { NewChat } from "./new-chat.tsx";
import { SEARCH, Sidebar, useChatActions } from "./sidebar.tsx";

/** The list of chats is a drawer below this width. */
const NARROW = "(max-width: 52rem)";

export function Page({ onSwitch, onSignOut }: { onSwitch: (user: string) => void; onSignOut: () => void }) {
  const { conversation } = useApp();
  const narrow = useMedia(NARROW);
  const dropping = useDroppedFiles();
  useShortcuts();
  const isNew = conversation.chatId.value === undefined && conversation.messages.value.length === 0;
  return (
    <div class="page">
      <a
        class="skip"
        href={`#${FIELD}`}
        onClick={(event) => {
          // The address is that of the chat.
          event.preventDefault();
          document.getElementById(FIELD)?.focus();
        }}
      >
        {words.value.skip}
      </a>
      <Sidebar narrow={narrow} onSwitch={onSwitch} onSignOut={onSignOut} />
      <main>
        <Header narrow={narrow} />
        <Banners />
        {isNew ? <NewChat /> : <OpenChat />}
        <div class="foot-frame">
          <div class="column">
            <Composer />
            <p class="quiet disclaimer">{words.value.disclaimer}</p>
          </div>
        </div>
        {dropping && <div class="drop">{words.value.dropHere}</div>}
      </main>
      <Announcements />
      <Dialogs />
    </div>
  );
}

function OpenChat() {
  const { conversation } = useApp();
  if (conversation.state.value === "joining") {
    return (
      <div class="scroll">
        <p class="column quiet loading" role="status">
          {words.value.loading}
        </p>
      </div>
    );
  }
  // The place of the reader belongs to the chat.
  return <Messages key={conversation.chatId.value ?? "new"} />;
}

function Header({ narrow }: { narrow: boolean }) {
  const { conversation, assistants, drawer } = useApp();
  const { chatId, title, snapshot } = conversation;
  const shown = title.value ?? words.value.newChat;
  const assistant = assistants.value.length > 1 ? assistants.value.find(({ id }) => id === snapshot.value?.assistant) : undefined;
  useEffect(() => {
    document.title = `${shown} – ${words.value.appName}`;
  }, [shown]);
  return (
    <header>
      {narrow && (
        <IconButton icon="menu" label={words.value.openList} aria-expanded={drawer.value} onClick={() => (drawer.value = true)} />
      )}
      <div class="heading">
        <h1 title={shown}>{shown}</h1>
        {assistant !== undefined && <span class="quiet small">{assistant.title}</span>}
      </div>
      {chatId.value !== undefined && <ChatMenu chatId={chatId.value} title={shown} />}
    </header>
  );
}

function ChatMenu({ chatId, title }: { chatId: string; title: string }) {
  return <Menu label={words.value.actionsOf(title)} items={useChatActions(chatId, title)} />;
}

function useShortcuts(): void {
  const { conversation, dialog, drawer } = useApp();
  useEffect(() => {
    const act = {
      search: () => {
        drawer.value = true;
        // The drawer is drawn first, in a microtask too; the next key comes after both.
        queueMicrotask(() => document.getElementById(SEARCH)?.focus());
      },
      "new-chat": () => go(undefined),
      shortcuts: () => {
        dialog.value = { kind: "shortcuts" };
      },
      write: () => document.getElementById(FIELD)?.focus(),
      stop: () => {
        if (["replying", "waiting"].includes(conversation.state.value)) {
          void conversation.stop();
        }
      },
    };
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      const typing = target.matches("input, textarea, select");
      const action = event.defaultPrevented || document.querySelector("dialog[open], [popover]:popover-open") ? undefined : anywhere(event, typing);
      if (action !== undefined) {
        event.preventDefault();
        act[action]();
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = () => setMatches(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [query]);
  return matches;
}
