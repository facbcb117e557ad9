import type { TargetedEvent } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "../../shared/ui.tsx";
import { useApp } from "../state/app.ts";
import { words } from "../words.ts";

export function Dialogs() {
  const { dialog } = useApp();
  const open = dialog.value;
  const close = () => (dialog.value = undefined);
  switch (open?.kind) {
    case "rename":
      return <Rename chatId={open.chatId} title={open.title} onClose={close} />;
    case "delete":
      return <Delete chatId={open.chatId} title={open.title} onClose={close} />;
    case "shortcuts":
      return <Shortcuts onClose={close} />;
    default:
      return null;
  }
}

interface ChatDialogProps {
  chatId: string;
  title: string;
  onClose: () => void;
}

function Rename({ chatId, title, onClose }: ChatDialogProps) {
  const { list, failed } = useApp();
  const [name, setName] = useState(title);
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => field.current!.select(), []);
  const save = async () => {
    onClose();
    try {
      await list.rename(chatId, name.trim());
    } catch (error) {
      failed(error);
    }
  };
  return (
    <Dialog title={words.value.renameTitle} onClose={onClose}>
      <form
        class="dialog-body-inner"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <input
          ref={field}
          class="field"
          autofocus
          maxLength={200}
          aria-label={words.value.title}
          value={name}
          onInput={(event: TargetedEvent<HTMLInputElement>) => setName(event.currentTarget.value)}
        />
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={onClose}>
            {words.value.cancel}
          </button>
          <button type="submit" class="button main" disabled={name.trim() === ""}>
            {words.value.save}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Delete({ chatId, title, onClose }: ChatDialogProps) {
  const { list, failed } = useApp();
  const remove = async () => {
    onClose();
    try {
      await list.remove(chatId);
    } catch (error) {
      failed(error);
    }
  };
  return (
    <Dialog title={words.value.removeTitle} onClose={onClose}>
      <p class="plain">{words.value.removeText(title)}</p>
      <div class="dialog-buttons">
        <button type="button" class="button" autofocus onClick={onClose}>
          {words.value.cancel}
        </button>
        <button type="button" class="button danger" onClick={() => void remove()}>
          {words.value.remove}
        </button>
      </div>
    </Dialog>
  );
}

function Shortcuts({ onClose }: { onClose: () => void }) {
  const { keys } = words.value;
  const command = /Mac|iP(hone|ad)/.test(navigator.platform) ? "⌘" : "Ctrl";
  const rows: [string[], string][] = [
    [["Enter"], keys.send],
    [["Shift", "Enter"], keys.newLine],
    [["Esc"], keys.stop],
    [["↑"], keys.editLast],
    [["/"], keys.write],
    [[command, "K"], keys.search],
    [[command, "Shift", "O"], keys.newChat],
    [[command, "/"], keys.shortcuts],
  ];
  return (
    <Dialog title={words.value.shortcuts} onClose={onClose}>
      <dl class="shortcuts">
        {rows.map(([names, does]) => (
          <div key={does}>
            <dt>
              {names.map((name) => (
                <kbd key={name}>{name}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <div class="dialog-buttons">
        <button type="button" class="button" autofocus onClick={onClose}>
          {words.value.close}
        </button>
      </div>
    </Dialog>
  );
}
