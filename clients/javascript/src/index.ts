/** The client of Parley. */
export { Chat } from "./chat.ts";
export { ParleyClient, type ClientOptions } from "./client.ts";
export { ParleyError, type ClientErrorCode } from "./errors.ts";
export type { ClientLimits, Cost, ErrorCode, FinishReason, MessageView, Rating, TokenUsage } from "./frames.ts";
export type * as frames from "./frames.ts";
export {
  HttpApi,
  type ChatDetails,
  type ChatInfo,
  type DailyUsage,
  type HttpOptions,
  type StoredMessage,
  type User,
} from "./http.ts";
export type { Socket } from "./link.ts";
export { type Runtime, systemRuntime } from "./runtime.ts";
export type {
  Assistant,
  Attachment,
  ChatSnapshot,
  ChatState,
  ClientEvents,
  ClientState,
  Closed,
  Message,
  MessageStatus,
  Part,
  ReasoningPart,
  RefusalPart,
  ReplyEvent,
  SendOptions,
  SourcePart,
  TokenReason,
  TokenSource,
  ToolCallPart,
  Turn,
} from "./types.ts";
