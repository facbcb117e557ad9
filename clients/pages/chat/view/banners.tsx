/** What the page says beside the conversation: the connection, notices, and what did not work. */
import { Icon } from "../../shared/icons.tsx";
import { IconButton } from "../../shared/ui.tsx";
import { useApp } from "../state/app.ts";
import { words } from "../words.ts";
import { errorText } from "./errors.ts";

export function Banners() {
  const { notices, problem } = useApp();
  return (
    <div class="banners">
      <Connection />
      {notices.value.map((notice) => (
        <div key={notice.id} class="banner" role="status" aria-label={words.value.notice}>
          <span class="plain">{notice.message}</span>
          <IconButton
            icon="close"
            label={words.value.dismiss}
            onClick={() => (notices.value = notices.value.filter(({ id }) => id !== notice.id))}
          />
        </div>
      ))}
      {problem.value !== undefined && (
        <div class="banner problem" role="alert">
          <Icon name="warning" />
          <span>{typeof problem.value === "string" ? problem.value : errorText(problem.value)}</span>
          <IconButton icon="close" label={words.value.dismiss} onClick={() => (problem.value = undefined)} />
        </div>
      )}
    </div>
  );
}

function Connection() {
  const { connection, client } = useApp();
  const text = words.value;
  switch (connection.value) {
    case "offline":
      return (
        <div class="banner offline" role="status">
          <span class="pulse" />
          <span>{text.offline}</span>
        </div>
      );
    case "closed":
      return (
        <div class="banner offline" role="status">
          <span>{text.closed}</span>
          <button type="button" class="button" onClick={() => client.connect()}>
            {text.connectAgain}
          </button>
        </div>
      );
    default:
      return null;
  }
}

/** Texts that only a screen reader has: one for each reply, when it is complete. */
export function Announcements() {
  const { announcement } = useApp();
  return (
    <div class="visually-hidden" aria-live="polite" role="log">
      {announcement.value}
    </div>
  );
}
