/** The settings of the page: `config.json` beside it. */

export interface Provider {
  readonly issuer: string;
  readonly clientId: string;
  readonly scope?: string;
  /** The token that Parley gets. An id token always is a JWT; an access token is one with some providers only. */
  readonly use?: "id_token" | "access_token";
}

export interface Config {
  readonly webSocketUrl: string;
  readonly httpUrl: string;
  /** A token to begin with, of the first of `users`. Only the emulator gives one. */
  readonly token?: string;
  readonly users?: readonly string[];
  readonly provider?: Provider;
}

export async function loadConfig(): Promise<Config> {
  const answer = await fetch("config.json", { cache: "no-store" });
  if (!answer.ok) {
    throw new Error(`config.json: ${answer.status}`);
  }
  return located((await answer.json()) as Config, document.baseURI);
}

/** Return the settings with whole addresses: those in the file may be relative to the page. */
export function located(config: Config, page: string): Config {
  return {
    ...config,
    webSocketUrl: new URL(config.webSocketUrl, page).href.replace(/^http/, "ws"),
    httpUrl: new URL(config.httpUrl || "/", page).href.replace(/\/$/, ""),
  };
}
