/** The emulator's own API. It answers this machine and its own pages only. */
const ROOT = "/_parley/";

/** A request that was refused. The message is the emulator's, for people. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function request<T>(method: string, path: string, body?: string, signal?: AbortSignal): Promise<T> {
  return (await answered(method, path, body, signal)).json() as Promise<T>;
}

/** Send a request, and return its answer. Throws `Refused` for an error. */
export async function answered(method: string, path: string, body?: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(ROOT + path, { method, ...(body !== undefined && { body }), ...(signal && { signal }) });
  if (!response.ok) {
    const content: unknown = await response.json().catch(() => null);
    const message = content && typeof content === "object" && "message" in content ? String(content.message) : response.statusText;
    throw new Refused(response.status, message);
  }
  return response;
}

/** Return the address of a path whose parts may have any characters. */
export function path(...parts: string[]): string {
  return parts.map(encodeURIComponent).join("/");
}
