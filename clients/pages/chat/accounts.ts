/** Ways to get the tokens of a user: from the emulator, pasted by a person, or from an identity provider. */
import type { TokenSource } from "parley-client";
import { keep, recall } from "../shared/storage.ts";
import type { Config, Provider } from "./config.ts";

export interface Account {
  readonly token: TokenSource;
  /** The user, if the page knows it before the server says it. */
  readonly user?: string;
  /** Absent in the emulator, which has nobody to sign out. */
  readonly signOut?: () => void;
}

/** Return the account of somebody who has signed in already, or who need not. */
export async function knownAccount(config: Config): Promise<Account | undefined> {
  if (config.provider !== undefined) {
    const { finishSignIn } = await import("./provider.ts");
    const account = await finishSignIn(config.provider);
    if (account !== undefined) {
      return account;
    }
  }
  const pasted = recall("token", "tab");
  if (pasted !== null) {
    return pastedAccount(pasted);
  }
  return config.token === undefined ? undefined : emulatedAccount(config);
}

export function pastedAccount(token: string): Account {
  keep("token", token, "tab");
  return { token, signOut: () => keep("token", null, "tab") };
}

export async function beginSignIn(provider: Provider): Promise<void> {
  await (await import("./provider.ts")).beginSignIn(provider);
}

/** Return the account of one of the emulator's users. Each tab may have another one. */
export function emulatedAccount(config: Config, chosen?: string): Account {
  const users = config.users ?? [];
  if (chosen !== undefined) {
    keep("user", chosen, "tab");
  }
  const kept = recall("user", "tab");
  const user = users.find((name) => name === kept) ?? users[0];
  let first = user === users[0] ? config.token : undefined;
  const token = async (): Promise<string> => {
    const given = first ?? (await emulatorsToken(user ?? ""));
    first = undefined;
    return given;
  };
  return user === undefined ? { token } : { token, user };
}

async function emulatorsToken(userId: string): Promise<string> {
  const answer = await fetch("/_parley/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ userId }),
  });
  if (!answer.ok) {
    throw new Error(`/_parley/token: ${answer.status}`);
  }
  return ((await answer.json()) as { token: string }).token;
}
