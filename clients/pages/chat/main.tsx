/** The chat page: it reads its settings, signs a user in, and shows the user's chats. */
import "../shared/theme.css";
import "../shared/ui.css";
import "./chat.css";
import { signal } from "@preact/signals";
import { render } from "preact";
import { startPreferences } from "../shared/preferences.ts";
import { emulatedAccount, knownAccount, type Account } from "./accounts.ts";
import { loadConfig, type Config } from "./config.ts";
import { AppContext, createApp, type App } from "./state/app.ts";
import { Page } from "./view/page.tsx";
import { SignIn, type Problem } from "./view/sign-in.tsx";
import { words } from "./words.ts";

type Stage =
  | { readonly name: "loading" | "broken" }
  | { readonly name: "signed-out"; readonly config: Config; readonly problem?: Problem }
  | { readonly name: "signed-in"; readonly config: Config; readonly app: App };

const stage = signal<Stage>({ name: "loading" });

function enter(config: Config, account: Account): void {
  leave();
  const refused = () => {
    account.signOut?.();
    signOut(config, "refused");
  };
  stage.value = { name: "signed-in", config, app: createApp(config, account, refused) };
}

function leave(): void {
  if (stage.value.name === "signed-in") {
    stage.value.app.dispose();
  }
}

function signOut(config: Config, problem?: Problem): void {
  leave();
  stage.value = { name: "signed-out", config, ...(problem && { problem }) };
}

async function start(): Promise<void> {
  stage.value = { name: "loading" };
  let config: Config;
  try {
    config = await loadConfig();
  } catch {
    stage.value = { name: "broken" };
    return;
  }
  try {
    const account = await knownAccount(config);
    if (account === undefined) {
      signOut(config);
    } else {
      enter(config, account);
    }
  } catch {
    signOut(config, "failed");
  }
}

function Root() {
  const now = stage.value;
  switch (now.name) {
    case "loading":
      return (
        <main class="sign-in" aria-busy="true">
          <h1 class="visually-hidden">{words.value.appName}</h1>
        </main>
      );
    case "broken":
      return (
        <main class="sign-in">
          <div class="card">
            <h1>{words.value.appName}</h1>
            <p role="alert">{words.value.noConfig}</p>
            <button type="button" class="button main" onClick={() => void start()}>
              {words.value.tryAgain}
            </button>
          </div>
        </main>
      );
    case "signed-out":
      return <SignIn config={now.config} problem={now.problem} onSignedIn={(account) => enter(now.config, account)} />;
    case "signed-in":
      return (
        <AppContext.Provider value={now.app}>
          <Page
            key={now.app}
            onSwitch={(user) => {
              location.hash = "#/";
              enter(now.config, emulatedAccount(now.config, user));
            }}
            onSignOut={() => {
              now.app.account.signOut?.();
              signOut(now.config);
            }}
          />
        </AppContext.Provider>
      );
  }
}

startPreferences();
render(<Root />, document.getElementById("app")!);
void start();
