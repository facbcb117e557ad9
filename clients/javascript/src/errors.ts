import type { ErrorCode } from "./frames.ts";

/** The codes of errors that the client itself finds, beside the codes of the server. */
export type ClientErrorCode =
  /** The client was closed, or is closed: `client.closedBecause` says why. */
  | "closed"
  /** The chat was closed with `chat.close()`. */
  | "chat_closed"
  /** The chat was deleted, here or on another device. */
  | "chat_deleted"
  /** The message or the reply is no longer shown in its chat: another branch is. */
  | "not_shown"
  /** The message was taken back with `chat.discard()`. */
  | "discarded"
  /** The function that fetches tokens has failed. `cause` is its error. The client tries again. */
  | "token_failed"
  /** The connection could not be opened, or was lost. The client tries again. */
  | "connection_lost"
  /** The frame is over 32 KB, which the gateway does not take. */
  | "frame_too_large"
  /** The gateway has no route for the frame: the deployment is incomplete. */
  | "gateway_forbidden"
  /** The server did not answer, after several tries. */
  | "no_answer"
  /** The server speaks another major version of the protocol. */
  | "unsupported_protocol"
  /** The HTTP API answered something that is not of this API. */
  | "http_failed";

/** A request that was refused, or that failed. */
export class ParleyError extends Error {
  override readonly name = "ParleyError";

  constructor(
    readonly code: ErrorCode | ClientErrorCode | (string & {}),
    message: string,
    /** The seconds after which another try may help. */
    readonly retryAfter?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
