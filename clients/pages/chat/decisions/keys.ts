/** What a key does. */

export interface Key {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  /** The key belongs to an input method, which for example puts a Japanese word together. */
  readonly isComposing: boolean;
}

export interface Writing {
  readonly empty: boolean;
  readonly editing: boolean;
  readonly replying: boolean;
  /** A keyboard on the screen has no Shift+Enter: there Enter is a new line, and the button sends. */
  readonly touch: boolean;
}

export type WritingAction = "send" | "stop" | "cancel-edit" | "edit-last";

/** Return what a key does in the field for a message. Undefined leaves it to the browser. */
export function whileWriting(key: Key, writing: Writing): WritingAction | undefined {
  if (key.isComposing) {
    return undefined;
  }
  if (key.key === "Enter" && !key.shiftKey && !key.altKey && (!writing.touch || key.ctrlKey || key.metaKey)) {
    return "send";
  }
  if (key.key === "Escape") {
    return writing.editing ? "cancel-edit" : writing.replying ? "stop" : undefined;
  }
  if (key.key === "ArrowUp" && writing.empty && !writing.editing && !key.shiftKey) {
    return "edit-last";
  }
  return undefined;
}

export type PageAction = "new-chat" | "search" | "shortcuts" | "write" | "stop";

/** Return what a key does anywhere on the page. `typing` says that the focus is in a field. */
export function anywhere(key: Key, typing: boolean): PageAction | undefined {
  const command = (key.ctrlKey || key.metaKey) && !key.altKey;
  const letter = key.key.toLowerCase();
  if (key.isComposing) {
    return undefined;
  }
  if (command && letter === "k" && !key.shiftKey) {
    return "search";
  }
  if (command && letter === "o" && key.shiftKey) {
    return "new-chat";
  }
  if (command && letter === "/") {
    return "shortcuts";
  }
  if (typing || command || key.altKey) {
    return undefined;
  }
  return letter === "/" ? "write" : letter === "escape" ? "stop" : undefined;
}
