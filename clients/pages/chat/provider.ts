/**
 * Sign-in at an identity provider: OpenID Connect's authorization code flow with PKCE. A file of its own, which is
 * loaded only where `config.json` names a provider.
 */
import * as oauth from "oauth4webapi";
import { keep, recall } from "../shared/storage.ts";
import type { Account } from "./accounts.ts";
import type { Provider } from "./config.ts";

/** What the page must remember while the person is at the provider. */
interface Pending {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  /** The chat that was open. */
  readonly hash: string;
}

interface Session {
  readonly token: string;
  readonly refresh?: string;
}

const PENDING = "sign-in";
const SESSION = "session";

function pageAddress(): string {
  return `${location.origin}${location.pathname}`;
}

async function server(provider: Provider): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(provider.issuer);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));
}

/** Leave for the provider's page. It comes back to this one. */
export async function beginSignIn(provider: Provider): Promise<void> {
  const { authorization_endpoint: endpoint } = await server(provider);
  if (endpoint === undefined) {
    throw new Error("The provider has no authorization endpoint.");
  }
  const pending: Pending = {
    verifier: oauth.generateRandomCodeVerifier(),
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    hash: location.hash,
  };
  keep(PENDING, JSON.stringify(pending), "tab");
  const address = new URL(endpoint);
  const fields = {
    client_id: provider.clientId,
    redirect_uri: pageAddress(),
    response_type: "code",
    scope: provider.scope ?? "openid",
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier),
    code_challenge_method: "S256",
    state: pending.state,
    nonce: pending.nonce,
  };
  Object.entries(fields).forEach(([name, value]) => address.searchParams.set(name, value));
  location.assign(address);
}

/** Return the account of somebody who comes back from the provider, or whose tab has a session. */
export async function finishSignIn(provider: Provider): Promise<Account | undefined> {
  const kept = recall(PENDING, "tab");
  const address = new URL(location.href);
  if (kept !== null && address.searchParams.has("state")) {
    keep(PENDING, null, "tab");
    const pending = JSON.parse(kept) as Pending;
    // Nobody shall use the code again, or find it in the history.
    history.replaceState(null, "", pageAddress() + pending.hash);
    return account(provider, await sessionFrom(provider, address, pending));
  }
  const session = recall(SESSION, "tab");
  return session === null ? undefined : account(provider, JSON.parse(session) as Session);
}

async function sessionFrom(provider: Provider, address: URL, pending: Pending): Promise<Session> {
  const at = await server(provider);
  const client = { client_id: provider.clientId };
  const parameters = oauth.validateAuthResponse(at, client, address, pending.state);
  const answer = await oauth.authorizationCodeGrantRequest(at, client, oauth.None(), parameters, pageAddress(), pending.verifier);
  const expected = { expectedNonce: pending.nonce, requireIdToken: true };
  return sessionOf(provider, await oauth.processAuthorizationCodeResponse(at, client, answer, expected));
}

function sessionOf(provider: Provider, answer: oauth.TokenEndpointResponse, before?: Session): Session {
  const token = provider.use === "access_token" ? answer.access_token : answer.id_token;
  if (token === undefined) {
    throw new Error("The provider gave no token.");
  }
  const refresh = answer.refresh_token ?? before?.refresh;
  const session = { token, ...(refresh !== undefined && { refresh }) };
  keep(SESSION, JSON.stringify(session), "tab");
  return session;
}

async function renewed(provider: Provider, session: Session): Promise<Session> {
  if (session.refresh === undefined) {
    throw new Error("The session has ended.");
  }
  const at = await server(provider);
  const client = { client_id: provider.clientId };
  const answer = await oauth.refreshTokenGrantRequest(at, client, oauth.None(), session.refresh);
  return sessionOf(provider, await oauth.processRefreshTokenResponse(at, client, answer), session);
}

function account(provider: Provider, first: Session): Account {
  let session = first;
  const signOut = () => keep(SESSION, null, "tab");
  if (session.refresh === undefined) {
    return { token: session.token, signOut };
  }
  const token = async (reason: "connect" | "expiry" | "refused"): Promise<string> => {
    if (reason !== "connect") {
      session = await renewed(provider, session);
    }
    return session.token;
  };
  return { token, signOut };
}
