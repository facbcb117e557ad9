import type { TargetedEvent } from "preact";
import { useState } from "preact/hooks";
import { LanguageChoice, ThemeChoice } from "../../shared/settings.tsx";
import { beginSignIn, pastedAccount, type Account } from "../accounts.ts";
import type { Config } from "../config.ts";
import { words } from "../words.ts";

/** Why the person has to sign in again: the server has refused the token, or the provider gave none. */
export type Problem = "refused" | "failed";

interface Props {
  config: Config;
  problem: Problem | undefined;
  onSignedIn: (account: Account) => void;
}

export function SignIn({ config, problem: first, onSignedIn }: Props) {
  const [problem, setProblem] = useState(first);
  const text = words.value;
  const { provider } = config;
  return (
    <main class="sign-in">
      <div class="card">
        <h1>{text.appName}</h1>
        <p class="quiet">{text.signInText}</p>
        {problem !== undefined && (
          <p class="bad" role="alert">
            {problem === "failed" ? text.signInFailed : text.tokenRefused}
          </p>
        )}
        {provider !== undefined && (
          <button type="button" class="button main" onClick={() => beginSignIn(provider).catch(() => setProblem("failed"))}>
            {text.signInWith(new URL(provider.issuer).host)}
          </button>
        )}
        {provider === undefined ? (
          <TokenForm onSignedIn={onSignedIn} />
        ) : (
          <details>
            <summary>{text.orToken}</summary>
            <TokenForm onSignedIn={onSignedIn} />
          </details>
        )}
        <div class="sign-in-settings">
          <LanguageChoice />
          <ThemeChoice />
        </div>
      </div>
    </main>
  );
}

function TokenForm({ onSignedIn }: Pick<Props, "onSignedIn">) {
  const [token, setToken] = useState("");
  const text = words.value;
  return (
    <form
      class="token-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (token.trim() !== "") {
          onSignedIn(pastedAccount(token.trim()));
        }
      }}
    >
      <label>
        <span class="small">{text.token}</span>
        <input
          class="field"
          type="password"
          autocomplete="off"
          spellcheck={false}
          aria-describedby="token-hint"
          value={token}
          onInput={(event: TargetedEvent<HTMLInputElement>) => setToken(event.currentTarget.value)}
        />
      </label>
      <p id="token-hint" class="quiet small">
        {text.tokenHint}
      </p>
      <button type="submit" class="button main" disabled={token.trim() === ""}>
        {text.signIn}
      </button>
    </form>
  );
}
