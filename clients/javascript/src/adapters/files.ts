/** Files of messages of other libraries, as attachments. */
import { ParleyError } from "../errors.ts";
import type { HttpApi } from "../http.ts";

/** A file by its address: `data:…`, or one that `fetch` can read. */
export interface FileAt {
  readonly url: string;
  readonly mediaType: string;
  readonly filename?: string | undefined;
}

/** Upload files for a message of a chat, one after the other. Returns the ids of the attachments. */
export async function uploadAll(
  http: HttpApi | undefined,
  chatId: string,
  files: readonly FileAt[],
  signal?: AbortSignal,
): Promise<string[]> {
  if (files.length > 0 && http === undefined) {
    throw new ParleyError("attachment_not_found", "To send files, give the adapter the HTTP API: { client, http: client.http(url) }.");
  }
  const ids: string[] = [];
  for (const file of files) {
    const attachment = await http!.upload(chatId, await readFile(file, signal), signal ? { signal } : {});
    ids.push(attachment.id);
  }
  return ids;
}

/** Read a file. A `data:` address is decoded here: a page's Content-Security-Policy may not let `fetch` do it. */
export async function readFile(file: FileAt, signal?: AbortSignal): Promise<File> {
  const name = file.filename ?? "file";
  if (!file.url.startsWith("data:")) {
    const response = await fetch(file.url, signal ? { signal } : {});
    return new File([await response.blob()], name, { type: file.mediaType });
  }
  const comma = file.url.indexOf(",");
  const encoded = file.url.slice(comma + 1);
  const isBase64 = file.url.slice(0, comma).endsWith(";base64");
  const bytes = isBase64
    ? Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
    : new TextEncoder().encode(decodeURIComponent(encoded));
  return new File([bytes], name, { type: file.mediaType });
}
