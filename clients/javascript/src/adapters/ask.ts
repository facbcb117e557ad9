/** How an adapter asks: other libraries give the whole history, and the server has it. So only what is new is sent. */
import type { Chat } from "../chat.ts";
import { ParleyError } from "../errors.ts";
import type { HttpApi } from "../http.ts";
import type { Message, SendOptions, Turn } from "../types.ts";
import { type FileAt, uploadAll } from "./files.ts";

/** A message of the user. `id` is the one that the screen knows it by. */
export interface Question {
  readonly id: string;
  readonly text: string;
  /** In the order for the model. Files that were uploaded before have an id. */
  readonly files: readonly (FileAt | { readonly attachmentId: string })[];
}

export type Request =
  | { readonly type: "send"; readonly question: Question }
  | { readonly type: "edit"; readonly messageId: string; readonly question: Question }
  | { readonly type: "regenerate" };

/** The server's ids of messages that the screen knows by others. `null`: the server has not accepted the message. */
export type Ids = Map<string, string | null>;

/** Return how a question of the screen is answered once more. `chat` are the messages that the chat shows. */
export function askAgain(question: Question, chat: readonly Message[], ids: Ids): Request {
  const messageId = ids.get(question.id);
  if (messageId === null) {
    return { type: "send", question };
  }
  const id = messageId ?? question.id;
  if (chat.findLast(({ role }) => role === "user")?.id === id) {
    return { type: "regenerate" };
  }
  // The server makes only the last reply anew. An earlier question is asked again, which makes a branch too.
  const attachments = chat.find((message) => message.id === id)?.attachments;
  const files = attachments?.map((file) => ({ attachmentId: file.id })) ?? question.files;
  return { type: "edit", messageId: id, question: { ...question, files } };
}

/** What an adapter asks with. */
interface Means {
  readonly ids: Ids;
  readonly http: HttpApi | undefined;
  readonly signal: AbortSignal | undefined;
}

const MAX_CLIENT_ID = 64;

/** Ask. Returns the turn once the server has stored the message. An abort before that takes the message back. */
export async function ask(chat: Chat, request: Request, { ids, http, signal }: Means): Promise<Turn> {
  if (chat.snapshot.messages.some((message) => message.status === "waiting")) {
    // Who asks something else does not want the calls that wait.
    await unlessAborted(chat.cancel(), signal);
  }
  const turn = await begin(chat, request, { ids, http, signal });
  await unlessAborted(turn.accepted, signal, () => {
    const isTakenBack = turn.clientMessageId !== undefined && chat.discard(turn.clientMessageId);
    if (!isTakenBack) {
      turn.accepted.then(() => cancel(chat), () => {});
    }
  });
  return turn;
}

async function begin(chat: Chat, request: Request, { ids, http, signal }: Means): Promise<Turn> {
  if (request.type === "regenerate") {
    return chat.regenerate();
  }
  const { question } = request;
  const attachments = await attach(chat, question, http, signal);
  signal?.throwIfAborted();
  const turn = send(chat, request, attachments.length > 0 ? { attachments } : {});
  ids.set(question.id, request.type === "edit" ? request.messageId : null);
  turn.accepted.then(
    ({ messageId }) => ids.set(question.id, messageId),
    () => chat.discard(turn.clientMessageId!),
  );
  return turn;
}

/** Return what a promise resolves to. If the signal is aborted before, undo what was asked and throw its reason. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined, undo = () => {}): Promise<T> {
  if (signal === undefined) {
    return promise;
  }
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => {
      undo();
      reject(signal.reason);
    };
  });
  promise.catch(() => {});
  if (signal.aborted) {
    abort();
  } else {
    signal.addEventListener("abort", abort, { once: true });
  }
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Answer for a call that waits. If another device has answered otherwise, that answer counts, and this is no failure. */
export async function approve(chat: Chat, callId: string, approved: boolean): Promise<void> {
  try {
    await chat.approve(callId, approved);
  } catch (error) {
    if (!(error instanceof ParleyError && error.code === "nothing_to_approve")) {
      throw error;
    }
  }
}

/** Call an action when a signal is aborted, also if it is aborted already, but not once the reply is over. */
export function onAbort(signal: AbortSignal | undefined, turn: Turn, action: () => void): void {
  if (signal?.aborted) {
    action();
    return;
  }
  signal?.addEventListener("abort", action, { once: true });
  const forget = () => signal?.removeEventListener("abort", action);
  turn.reply.then(forget, forget); // The error of a reply comes out of `events`.
}

/** End the reply that runs. That it has just ended by itself is no failure. */
export function cancel(chat: Chat): void {
  chat.cancel().catch(() => {});
}

function send(chat: Chat, request: Exclude<Request, { type: "regenerate" }>, options: SendOptions): Turn {
  const { id, text } = request.question;
  if (request.type === "edit") {
    return chat.edit(request.messageId, text, options);
  }
  // The same message has the same id, so that it is stored once. An edited one is another message.
  return chat.send(text, id.length <= MAX_CLIENT_ID ? { ...options, clientMessageId: id } : options);
}

/** Upload the files of a message that are not uploaded yet. Returns the ids of all, in order. */
async function attach(
  chat: Chat,
  { files }: Question,
  http: HttpApi | undefined,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const isNew = (file: Question["files"][number]): file is FileAt => !("attachmentId" in file);
  const ids = await uploadAll(http, chat.id, files.filter(isNew), signal);
  return files.map((file) => (isNew(file) ? ids.shift()! : file.attachmentId));
}
