/** The frame around all views: their list, the search, whether the trace is live. */
import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../shared/icons.tsx";
import { LanguageChoice, ThemeChoice } from "../shared/settings.tsx";
import { IconButton, Popover } from "../shared/ui.tsx";
import { pause, recording, state } from "./feed.ts";
import { hrefOf, route, VIEWS, type View } from "./route.ts";
import { ConnectionsView } from "./views/connections.tsx";
import { CostView } from "./views/cost.tsx";
import { FaultsView } from "./views/faults.tsx";
import { InvocationsView } from "./views/invocations.tsx";
import { QueuesView } from "./views/queues.tsx";
import { TablesView } from "./views/tables.tsx";
import { TimelineView } from "./views/timeline.tsx";
import { words } from "./words.ts";

const COMPONENTS: Record<View, ComponentType> = {
  timeline: TimelineView,
  connections: ConnectionsView,
  invocations: InvocationsView,
  tables: TablesView,
  queues: QueuesView,
  faults: FaultsView,
  cost: CostView,
};

export function App() {
  const { view } = route.value;
  const Content = COMPONENTS[view];
  useEffect(() => {
    document.title = `${words.value.views[view]} · ${words.value.title}`;
  }, [view, words.value]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {words.value.skip}
      </a>
      <header class="top">
        <h1>
          <a href={hrefOf("timeline")}>{words.value.title}</a>
        </h1>
        <Search />
        <Live />
        <Settings />
      </header>
      <nav class="views" aria-label={words.value.menu}>
        {VIEWS.map((each) => (
          <a key={each} href={hrefOf(each)} aria-current={each === view ? "page" : undefined}>
            {words.value.views[each]}
          </a>
        ))}
      </nav>
      {state.value === "offline" && (
        <p class="note bad strip" role="alert">
          {words.value.offline}
        </p>
      )}
      {recording.value === false && view === "timeline" && <p class="note strip">{words.value.notRecorded}</p>}
      <main id="main" tabIndex={-1} class={`view ${view}`}>
        <h2 class="visually-hidden">{words.value.views[view]}</h2>
        <Content />
      </main>
    </>
  );
}

function skip(event: Event): void {
  // The address of the page is the view's, so the link does not go there.
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** The one search: any id leads to the turns that it occurs in. */
function Search() {
  const asked = route.value.view === "timeline" ? (route.value.parameters["q"] ?? "") : "";
  const typed = useSignal(asked);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    typed.value = asked;
  }, [asked]);
  useLayoutEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) {
        event.preventDefault();
        input.current?.focus();
      }
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  const go = (text: string) => {
    location.hash = hrefOf("timeline", { q: text.trim() });
  };
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        go(typed.value);
      }}
    >
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        class="field"
        aria-label={words.value.search}
        placeholder={words.value.searchHint}
        value={typed.value}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          if (typed.value === "" && asked !== "") {
            go("");
          }
        }}
      />
    </form>
  );
}

function Live() {
  const now = state.value;
  return (
    <div class="live">
      <span class={`dot ${now}`} aria-hidden="true" />
      <span role="status">{words.value.states[now]}</span>
      {now !== "offline" && now !== "loading" && (
        <button type="button" class="button small" onClick={() => pause(now !== "paused")}>
          {now === "paused" ? words.value.goOn : words.value.pause}
        </button>
      )}
    </div>
  );
}

function Settings() {
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <IconButton icon="more" label={words.value.settings} ref={button} popovertarget="settings" aria-haspopup="dialog" />
      <Popover id="settings" anchor={button} label={words.value.settings} class="settings">
        <LanguageChoice />
        <ThemeChoice />
      </Popover>
    </>
  );
}
