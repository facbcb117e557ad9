/** The timeline: turns or single events, the newest first, and the waterfall of the one that is chosen. */
import { useEffect } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { state, trace, users, version } from "../feed.ts";
import { clock, duration } from "../format.ts";
import { LongList } from "../list.tsx";
import { hasFailed, type TraceEvent } from "../model/events.ts";
import { functionsOf, isAside, nameOf, title } from "../model/summary.ts";
import type { Turn } from "../model/turns.ts";
import { Badge, Empty } from "../parts.tsx";
import { change, hrefOf, route, type Parameters } from "../route.ts";
import { hits, startSearch, turnsFound } from "../search.ts";
import { words } from "../words.ts";
import { TurnDetails } from "./turn.tsx";

export function TimelineView() {
  const { parameters } = route.value;
  const text = parameters["q"] ?? "";
  useEffect(() => startSearch(text), [text]);
  const chosen = parameters["turn"] ? trace.turnOf(Number(parameters["turn"])) : undefined;
  return (
    <div class={`split ${parameters["turn"] ? "chosen" : ""}`}>
      <section class="side" aria-label={words.value.views.timeline}>
        <Filters parameters={parameters} />
        <Rows parameters={parameters} text={text} chosen={chosen} />
      </section>
      <section class="detail" aria-label={words.value.details}>
        {chosen ? (
          <TurnDetails key={chosen.id} turn={chosen} row={Number(parameters["row"] ?? parameters["turn"])} />
        ) : (
          <Empty>{parameters["turn"] ? (state.value === "loading" ? words.value.loading : words.value.gone) : words.value.choose}</Empty>
        )}
      </section>
    </div>
  );
}

function Filters({ parameters }: { parameters: Parameters }) {
  const functions = new Set<string>();
  const connections = new Set<string>();
  for (const turn of trace.turns) {
    functionsOf(turn).forEach((name) => functions.add(name));
    if (turn.connection) {
      connections.add(turn.connection);
    }
  }
  const name = (connection: string) => [connection, users.value.get(connection)].filter(Boolean).join(" · ");
  const isSingle = parameters["events"] === "1";
  return (
    <div class="filters">
      <div class="toggle" role="group" aria-label={words.value.show}>
        <button type="button" aria-pressed={!isSingle} onClick={() => change({ events: "" }, true)}>
          {words.value.turns}
        </button>
        <button type="button" aria-pressed={isSingle} onClick={() => change({ events: "1" }, true)}>
          {words.value.events}
        </button>
      </div>
      <button
        type="button"
        class="toggle-button"
        aria-pressed={parameters["failed"] === "1"}
        onClick={() => change({ failed: parameters["failed"] === "1" ? "" : "1" }, true)}
      >
        {words.value.failures}
      </button>
      <Select
        label={words.value.function}
        all={words.value.anyFunction}
        value={parameters["function"] ?? ""}
        values={[...functions].sort()}
        onChange={(value) => change({ function: value }, true)}
      />
      <Select
        label={words.value.connection}
        all={words.value.anyConnection}
        value={parameters["connection"] ?? ""}
        values={[...connections].reverse()}
        name={name}
        onChange={(value) => change({ connection: value }, true)}
      />
    </div>
  );
}

interface SelectProps {
  label: string;
  all: string;
  value: string;
  values: string[];
  name?: (value: string) => string;
  onChange: (value: string) => void;
}

function Select({ label, all, value, values, name = (each) => each, onChange }: SelectProps) {
  const known = value === "" || values.includes(value) ? values : [value, ...values];
  return (
    <select class={value ? "set" : ""} aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      <option value="">{all}</option>
      {known.map((each) => (
        <option key={each} value={each}>
          {name(each)}
        </option>
      ))}
    </select>
  );
}

function Rows({ parameters, text, chosen }: { parameters: Parameters; text: string; chosen: Turn | undefined }) {
  const found = text === "" ? null : turnsFound(text);
  const isSingle = parameters["events"] === "1";
  const wanted = { connection: parameters["connection"] ?? "", function: parameters["function"] ?? "", failed: parameters["failed"] === "1" };
  const takes = (turn: Turn) =>
    (isSingle || !isAside(turn)) &&
    (!found || found.has(turn)) &&
    (!wanted.failed || turn.failed) &&
    (!wanted.connection || turn.events.some((each) => each.connection_id === wanted.connection)) &&
    (!wanted.function || turn.invocations.some((each) => each.function === wanted.function));
  const turns = trace.turns.filter(takes).reverse();
  const count = found && (
    <p class="count" role="status">
      {words.value.found(turns.length)}
    </p>
  );
  const hrefFor = (number: number) => hrefOf("timeline", { ...parameters, turn: String(number), row: "" });
  if (isSingle) {
    const within = new Set(turns);
    const events = trace.events.filter((each) => {
      const turn = trace.turnOf(each.number);
      const isHit = !found || (hits.value?.has(each.number) ?? false);
      return turn && within.has(turn) && isHit && (!wanted.failed || hasFailed(each));
    });
    return (
      <>
        {count}
        {events.length === 0 && <Nothing />}
        <LongList
          label={words.value.events}
          rows={events.reverse()}
          chosen={Number(parameters["turn"] ?? NaN)}
          id={(each) => each.number}
          href={(each) => hrefFor(each.number)}
          draw={(each) => <EventRow event={each} />}
        />
      </>
    );
  }
  return (
    <>
      {count}
      {turns.length === 0 && <Nothing />}
      <LongList
        label={words.value.turns}
        rows={turns}
        chosen={chosen?.id}
        id={(each) => each.id}
        href={(each) => hrefFor(each.id)}
        draw={(each) => <TurnRow turn={each} />}
      />
    </>
  );
}

function Nothing() {
  return <Empty>{trace.turns.length === 0 ? words.value.timelineEmpty : words.value.filteredOut}</Empty>;
}

function TurnRow({ turn }: { turn: Turn }) {
  void version.value; // The same turn grows.
  const functions = functionsOf(turn).filter((name) => name !== title(turn));
  const user = turn.connection && users.value.get(turn.connection);
  return (
    <>
      <span class="row-line">
        <Badge kind={`cause ${turn.cause}`}>{words.value.causes[turn.cause]}</Badge>
        <span class="row-title">{title(turn)}</span>
        {turn.failed && <Failed />}
        <span class="row-time">{duration(turn.until - turn.at)}</span>
      </span>
      <span class="row-line quiet">
        <span>{clock(turn.at)}</span>
        <span class="row-title">{[user ?? turn.connection, ...functions].filter(Boolean).join(" · ")}</span>
      </span>
    </>
  );
}

export function Failed() {
  return (
    <span class="failed">
      <Icon name="warning" />
      <span>{words.value.failed}</span>
    </span>
  );
}

function EventRow({ event }: { event: TraceEvent }) {
  return (
    <>
      <span class="row-line">
        <Badge kind="kind">{event.kind}</Badge>
        <span class="row-title">{nameOf(event)}</span>
        {hasFailed(event) && <Failed />}
        <span class="row-time">{event.number}</span>
      </span>
      <span class="row-line quiet">
        <span>{clock(event.at)}</span>
        <span class="row-title">{[event.connection_id, event.caller, event.function].filter(Boolean).join(" · ")}</span>
      </span>
    </>
  );
}
