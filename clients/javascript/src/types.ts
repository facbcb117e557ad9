/** The types of what applications see. The types of frames are in frames.ts. */
import type { ParleyError } from "./errors.ts";
import type {
  AssistantView,
  AttachmentView,
  Cost,
  FinishReason,
  Rating,
  ReasoningPart as ReasoningData,
  RefusalPart as RefusalData,
  SourcePart as SourceData,
  TokenUsage,
  ToolCallPart as ToolCallData,
} from "./frames.ts";

export type Attachment = AttachmentView;
export type Assistant = AssistantView;

/** What every part has: its number in the reply, and its place in the text of the reply, in UTF-16 code units. */
interface Placed {
  readonly index: number;
  readonly offset: number;
}

type PartOf<Data> = Readonly<Omit<Data, "textOffset" | "index" | "offset">> & Placed;

export type ReasoningPart = PartOf<ReasoningData>;
/** `approved` is the user's answer to a call that waited for it, as soon as it is known. */
export type ToolCallPart = PartOf<ToolCallData> & { readonly approved?: boolean };
export type SourcePart = PartOf<SourceData>;
export type RefusalPart = PartOf<RefusalData>;

/** What a reply has beside its text. All texts are input of strangers: show them as text. */
export type Part = ReasoningPart | ToolCallPart | SourcePart | RefusalPart;

/**
 * - `sending`: a message of the user that the server has not acknowledged. It is sent again until it is.
 * - `failed`: a message of the user that was refused, see `error`. `chat.retry()` sends it again.
 * - `running`: a reply that is being made. `waiting`: it waits for the user's approval of a call.
 * - `loading`: a stored reply whose text is too long for a frame, and is being fetched. `text` is the beginning.
 * - `done`: stored and whole.
 */
export type MessageStatus = "sending" | "failed" | "running" | "waiting" | "loading" | "done";

/** A message as it is now. It never changes: a message with something new is a new object. */
export interface Message {
  /** The server's id; of a message that is `sending` or `failed` the client's. */
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly text: string;
  readonly status: MessageStatus;
  /** In the order of `index`. Kinds that this version does not know are left out. */
  readonly parts: readonly Part[];
  readonly timestamp?: string;
  /** The ids of all messages that may stand here, this one too, the oldest first. `chat.select()` shows another. */
  readonly siblings?: readonly string[];
  readonly attachments?: readonly Attachment[];
  readonly finishReason?: FinishReason;
  readonly usage?: TokenUsage;
  readonly cost?: Cost;
  readonly feedback?: Rating;
  /** The number of stored parts, if `parts` are not all of them. `chat.load()` fetches all. */
  readonly partCount?: number;
  readonly error?: ParleyError;
  /** The id by which the client knows a message that it has sent itself. */
  readonly clientMessageId?: string;
}

/**
 * - `joining`: the chat is opened, nothing is shown yet.
 * - `ready`: a message may be sent.
 * - `replying`: a reply is being made. `waiting`: it waits for the user's approval of a call.
 * - `offline`: the connection is lost. The client connects again, and what is sent now is sent then.
 * - `closed`: the chat was closed or deleted, or the client was closed.
 */
export type ChatState = "joining" | "ready" | "replying" | "waiting" | "offline" | "closed";

/** A chat as it is now. It never changes: after each change there is a new one. */
export interface ChatSnapshot {
  readonly state: ChatState;
  readonly title: string;
  readonly assistant: string;
  /** The messages of the branch that is shown, the oldest first. */
  readonly messages: readonly Message[];
  /** There are older messages: `chat.loadMore()`. */
  readonly hasMore: boolean;
  /** The id of the reply that is being made, or that waits. */
  readonly replyId?: string;
}

/** What happens to one reply, in order. */
export type ReplyEvent =
  | { readonly type: "start"; readonly messageId: string; readonly attempt: number }
  /** More text, to append. */
  | { readonly type: "text"; readonly text: string }
  /** A part as it is now, in place of the one with the same `index`. `added` is the text that is new in it. */
  | { readonly type: "part"; readonly part: Part; readonly added?: string }
  /** The reply is made anew: drop its text and its parts. They come again. */
  | { readonly type: "restart"; readonly attempt: number }
  | { readonly type: "end"; readonly message: Message };

/** A message of the user and the reply to it; after `regenerate()` the reply alone. */
export interface Turn {
  /** The client's id of the message. `undefined` for `regenerate()` and `resume()`. */
  readonly clientMessageId?: string;
  /** The server has stored the message. Rejected with a `ParleyError` if it was refused. */
  readonly accepted: Promise<{ messageId: string }>;
  /**
   * What happens to the reply, from its beginning, whenever the iteration begins. It ends after `end`. If there is no
   * reply, it throws what `reply` is rejected with. Several iterations do not disturb each other.
   */
  readonly events: AsyncIterable<ReplyEvent>;
  /** The whole reply. A reply that failed at the model is one too: see its `finishReason`. */
  readonly reply: Promise<Message>;
}

export interface SendOptions {
  /** Files that were uploaded for this chat (`HttpApi.upload`), or their ids, in the order for the model. */
  attachments?: readonly (Attachment | string)[];
  /** An id of your own, at most 64 characters. The same id is the same message, however often it is sent. */
  clientMessageId?: string;
}

/**
 * - `idle`: nothing was asked yet.
 * - `connecting`: the first try to connect. `online`: connected, with a user.
 * - `offline`: the connection is lost, or could not be opened. The client tries again.
 * - `closed`: the client does not try again. `closedBecause` says why.
 */
export type ClientState = "idle" | "connecting" | "online" | "offline" | "closed";

export interface Closed {
  /**
   * - `closed`: `client.close()` was called.
   * - `ended_by_server`: close code 1000. Too many connections or frames of the user, or the user was disabled.
   * - `invalid_token`: the token was refused, and so was a new one. Or it has expired, and no function gives a new one.
   * - `other_user`: a new token has another user. Make a new client for another user.
   * - `unsupported_protocol`: the server is newer than this client by a major version.
   */
  readonly code: "closed" | "ended_by_server" | "invalid_token" | "other_user" | "unsupported_protocol";
  readonly message: string;
}

/** The reason why a token is asked for: to connect, because the last one expires soon, or because it was refused. */
export type TokenReason = "connect" | "expiry" | "refused";

/** A token, or a function that fetches one. A token is kept until a minute before it expires. */
export type TokenSource = string | ((reason: TokenReason) => string | Promise<string>);

export interface ClientEvents {
  state: (state: ClientState) => void;
  /** A text from an administrator. */
  notice: (notice: { message: string; noticeId?: string }) => void;
  /** A chat of the user has a new title, whether it is open here or not. */
  chatUpdated: (chat: { chatId: string; title: string }) => void;
  chatDeleted: (chat: { chatId: string }) => void;
  /** A failure that no call of yours is told of. The client goes on. */
  error: (error: ParleyError) => void;
  /** Every frame, for tools. Tokens are left out. */
  frame: (frame: { direction: "in" | "out"; connection: number; frame: unknown }) => void;
}
