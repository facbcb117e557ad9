/** Files on their way into a message. */
import { computed, signal } from "@preact/signals";
import type { Attachment, HttpApi } from "parley-client";

export const MAX_FILES = 8;

export interface Upload {
  readonly key: number;
  readonly file: File;
  /** A picture of an image that the browser itself makes. */
  readonly preview?: string;
  readonly state: "uploading" | "ready" | "failed";
  readonly attachment?: Attachment;
  readonly error?: unknown;
}

export type Uploads = ReturnType<typeof createUploads>;

/** `chatId` returns the chat that the files are for, and creates it if need be. */
export function createUploads(http: HttpApi, chatId: () => Promise<string>) {
  const files = signal<readonly Upload[]>([]);
  const controls = new Map<number, AbortController>();
  let keys = 0;

  function change(key: number, fields: Partial<Upload>): void {
    files.value = files.value.map((upload) => (upload.key === key ? { ...upload, ...fields } : upload));
  }

  async function upload(key: number, file: File): Promise<void> {
    const control = new AbortController();
    controls.set(key, control);
    try {
      change(key, { state: "ready", attachment: await http.upload(await chatId(), file, { signal: control.signal }) });
    } catch (error) {
      change(key, { state: "failed", error });
    } finally {
      controls.delete(key);
    }
  }

  function forget(upload: Upload): void {
    controls.get(upload.key)?.abort();
    if (upload.preview !== undefined) {
      URL.revokeObjectURL(upload.preview);
    }
  }

  return {
    files,
    /** A message goes with all of its files: one that failed has to be removed first. */
    ready: computed(() => files.value.every((upload) => upload.state === "ready")),
    /** Begin with the files. Returns false if there are too many. */
    add(given: readonly File[]): boolean {
      const room = MAX_FILES - files.value.length;
      const added = given.slice(0, Math.max(0, room)).map((file): Upload => {
        const preview = file.type.startsWith("image/") ? { preview: URL.createObjectURL(file) } : {};
        return { key: ++keys, file, state: "uploading", ...preview };
      });
      files.value = [...files.value, ...added];
      added.forEach(({ key, file }) => void upload(key, file));
      return given.length <= room;
    },
    remove(key: number): void {
      files.value.filter((upload) => upload.key === key).forEach(forget);
      files.value = files.value.filter((upload) => upload.key !== key);
    },
    /** Take the files, for a message. */
    take(): Attachment[] {
      const taken = files.value.flatMap((upload) => upload.attachment ?? []);
      files.value.forEach(forget);
      files.value = [];
      return taken;
    },
  };
}
