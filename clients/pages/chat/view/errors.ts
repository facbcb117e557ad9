import { ParleyError } from "parley-client";
import { moment, waitOf } from "../decisions/format.ts";
import { language } from "../../shared/preferences.ts";
import { words, type Words } from "../words.ts";

/** Return in plain words what did not work, and what to do. */
export function errorText(error: unknown): string {
  const text = words.value;
  if (!(error instanceof ParleyError)) {
    return error instanceof TypeError ? text.noNetwork : text.unknownError;
  }
  const { code, retryAfter } = error;
  const what = clientError(code, text) ?? text.errors[code] ?? (error.message || text.unknownError);
  return retryAfter === undefined ? what : `${what} ${again(retryAfter)}`;
}

function clientError(code: string, text: Words): string | undefined {
  return {
    connection_lost: text.noNetwork,
    no_answer: text.noNetwork,
    token_failed: text.signInFailed,
    chat_deleted: text.wasDeleted,
    frame_too_large: text.errors["message_too_large"],
    not_shown: text.errors["nothing_to_select"],
  }[code];
}

function again(retryAfter: number): string {
  const now = new Date();
  const wait = waitOf(retryAfter, now);
  return "seconds" in wait ? words.value.inSeconds(wait.seconds) : words.value.atTime(moment(wait.at, now, language.value));
}
