/** Files of messages. A link to a file works for some minutes, so it is asked for when it is needed. */
import type { Attachment, HttpApi } from "parley-client";
import { useEffect, useState } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { IconButton } from "../../shared/ui.tsx";
import { fileSize } from "../decisions/format.ts";
import { language } from "../../shared/preferences.ts";
import { useApp } from "../state/app.ts";
import type { Upload } from "../state/uploads.ts";
import { words } from "../words.ts";
import { errorText } from "./errors.ts";

const links = new Map<string, { url: string; until: number }>();

async function linkTo(http: HttpApi, chatId: string, id: string): Promise<string> {
  const known = links.get(id);
  if (known !== undefined && known.until > Date.now()) {
    return known.url;
  }
  const { url, expiresAt } = await http.link(chatId, id);
  links.set(id, { url, until: Date.parse(expiresAt) - 60_000 });
  return url;
}

/** `stored` says that the server has their message: before that it gives no links. */
export function Attachments({ files, stored }: { files: readonly Attachment[]; stored: boolean }) {
  return (
    <ul class="files" aria-label={words.value.attachments}>
      {files.map((file) => (
        <li key={file.id}>{stored && file.type.startsWith("image/") ? <Picture file={file} /> : <FileChip file={file} />}</li>
      ))}
    </ul>
  );
}

function Picture({ file }: { file: Attachment }) {
  const { http, conversation } = useApp();
  const [url, setUrl] = useState<string>();
  const chatId = conversation.chatId.value;
  useEffect(() => {
    let shown = true;
    if (chatId !== undefined) {
      linkTo(http, chatId, file.id).then((found) => shown && setUrl(found), () => {});
    }
    return () => {
      shown = false;
    };
  }, [file.id, chatId]);
  return url === undefined ? (
    <FileChip file={file} />
  ) : (
    <a href={url} target="_blank" rel="noopener noreferrer">
      <img class="picture" src={url} alt={file.name} onError={() => setUrl(undefined)} />
    </a>
  );
}

function FileChip({ file }: { file: Attachment }) {
  const { http, conversation, failed } = useApp();
  const open = async () => {
    const chatId = conversation.chatId.value;
    if (chatId !== undefined) {
      try {
        save(await linkTo(http, chatId, file.id), file.name);
      } catch (error) {
        failed(error);
      }
    }
  };
  return (
    <button type="button" class="file" onClick={() => void open()}>
      <Icon name="file" />
      <span class="file-name">{file.name}</span>
      <span class="quiet small">{fileSize(file.bytes, language.value)}</span>
    </button>
  );
}

/** Have the browser store what is at an address as a file. */
export function save(url: string, name: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.rel = "noopener";
  link.click();
}

/** The files of the message that is being written. */
export function Uploads() {
  const { uploads } = useApp();
  return (
    <ul class="files" aria-label={words.value.attachments}>
      {uploads.files.value.map((upload) => (
        <li key={upload.key}>
          <UploadChip upload={upload} onRemove={() => uploads.remove(upload.key)} />
        </li>
      ))}
    </ul>
  );
}

function UploadChip({ upload, onRemove }: { upload: Upload; onRemove: () => void }) {
  const state = { uploading: words.value.uploading, failed: words.value.uploadFailed, ready: "" }[upload.state];
  return (
    <span class={`file upload ${upload.state}`}>
      {upload.preview === undefined ? <Icon name="file" /> : <img class="preview" src={upload.preview} alt="" />}
      <span class="file-name">{upload.file.name}</span>
      <span class="quiet small" role="status">
        {state || fileSize(upload.file.size, language.value)}
        {upload.error !== undefined && `: ${errorText(upload.error)}`}
      </span>
      <IconButton icon="close" label={words.value.removeFile(upload.file.name)} onClick={onRemove} />
    </span>
  );
}
