import type { TargetedEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { keep, recall } from "../../shared/storage.ts";
import { IconButton } from "../../shared/ui.tsx";
import { whileWriting, type WritingAction } from "../decisions/keys.ts";
import { useApp } from "../state/app.ts";
import { MAX_FILES } from "../state/uploads.ts";
import { words } from "../words.ts";
import { Uploads } from "./attachments.tsx";
import { grow, isTouch } from "./field.ts";

export const FIELD = "message-field";

/** The field for a message, with its files. What was not sent yet is kept for each chat until the tab is closed. */
export function Composer() {
  const { conversation, uploads, problem } = useApp();
  const { chatId, state, messages } = conversation;
  const draft = `draft.${chatId.value ?? "new"}`;
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);

  useLayoutEffect(() => {
    setText(recall(draft, "tab") ?? "");
    if (!isTouch()) {
      field.current!.focus({ preventScroll: true });
    }
  }, [draft]);
  useLayoutEffect(() => grow(field.current!), [text]);

  const write = (value: string) => {
    setText(value);
    keep(draft, value || null, "tab");
  };
  const replying = state.value === "replying" || state.value === "waiting";
  const ready = text.trim() !== "" && uploads.ready.value;
  const send = () => {
    if (ready) {
      problem.value = undefined;
      void conversation.send(text, uploads.take());
      write("");
    }
  };
  const editLast = () => {
    const last = messages.value.findLast((message) => message.role === "user" && message.status === "done");
    if (last !== undefined && !conversation.busy.value) {
      conversation.editing.value = last.id;
    }
  };
  const act: Record<WritingAction, () => void> = {
    send,
    stop: () => void conversation.stop(),
    "edit-last": editLast,
    "cancel-edit": () => {},
  };
  // The field has the focus again when an edit is over: at once, or the next key would be lost.
  const editing = conversation.editing.value;
  const edited = useRef(editing);
  useLayoutEffect(() => {
    if (edited.current !== undefined && editing === undefined) {
      field.current!.focus();
    }
    edited.current = editing;
  }, [editing]);

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {uploads.files.value.length > 0 && <Uploads />}
      <textarea
        ref={field}
        id={FIELD}
        rows={1}
        value={text}
        placeholder={words.value.placeholder}
        aria-label={words.value.writeHere}
        onInput={(event: TargetedEvent<HTMLTextAreaElement>) => write(event.currentTarget.value)}
        onKeyDown={(event) => {
          const writing = { empty: text === "", editing: false, replying, touch: isTouch() };
          const action = whileWriting(event, writing);
          if (action !== undefined) {
            event.preventDefault();
            act[action]();
          }
        }}
      />
      <div class="composer-row">
        <AttachButton />
        {replying && <IconButton icon="stop" class="stop" label={words.value.stop} onClick={() => void conversation.stop()} />}
        {(!replying || text.trim() !== "") && <IconButton icon="send" class="send" type="submit" label={words.value.send} disabled={!ready} />}
      </div>
    </form>
  );
}

function AttachButton() {
  const { uploads } = useApp();
  const chooser = useRef<HTMLInputElement>(null);
  const attach = useAttach();
  return (
    <>
      <input
        ref={chooser}
        type="file"
        multiple
        hidden
        tabIndex={-1}
        aria-hidden="true"
        accept="image/png,image/jpeg,image/gif,image/webp,text/*,application/json"
        onChange={(event: TargetedEvent<HTMLInputElement>) => {
          attach([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
      <IconButton icon="clip" label={words.value.attach} onClick={() => chooser.current!.click()} disabled={uploads.files.value.length >= MAX_FILES} />
    </>
  );
}

/** Return a function that attaches files, and says if there are too many. */
function useAttach(): (files: readonly File[]) => void {
  const { uploads, problem } = useApp();
  return (files) => {
    if (!uploads.add(files)) {
      problem.value = words.value.tooManyFiles;
    }
  };
}

/** Take files that are dropped on the page, or pasted. Returns whether files hang over the page. */
export function useDroppedFiles(): boolean {
  const attach = useAttach();
  const [over, setOver] = useState(false);
  useEffect(() => {
    let depth = 0;
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const hang = (change: number) => (event: DragEvent) => {
      if (hasFiles(event)) {
        event.preventDefault();
        depth = Math.max(0, depth + change);
        setOver(depth > 0);
      }
    };
    const drop = (event: DragEvent) => {
      if (hasFiles(event)) {
        event.preventDefault();
        depth = 0;
        setOver(false);
        attach([...event.dataTransfer!.files]);
      }
    };
    const paste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) {
        event.preventDefault();
        attach(files);
      }
    };
    const listeners = { dragenter: hang(1), dragleave: hang(-1), dragover: hang(0), drop, paste };
    const entries = Object.entries(listeners) as [string, EventListener][];
    entries.forEach(([name, listener]) => document.addEventListener(name, listener));
    return () => entries.forEach(([name, listener]) => document.removeEventListener(name, listener));
  }, []);
  return over;
}
