/** One turn: its sums, its waterfall, and what is behind the row that is chosen. */
import { useComputed, useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { users, version } from "../feed.ts";
import { amount, bytes, clock, duration, money, parsed } from "../format.ts";
import { dollars, lineOf, messageName, nameOf, sums, title } from "../model/summary.ts";
import type { Turn } from "../model/turns.ts";
import type { Cost, InvocationDetails as Details } from "../model/types.ts";
import { bar, beginning, waterfall, type Row } from "../model/waterfall.ts";
import { Badge, ConnectionLink, Payload, useLoaded } from "../parts.tsx";
import { change, hrefOf, route } from "../route.ts";
import { words } from "../words.ts";
import { InvocationDetails } from "./invocation.tsx";
import { Failed } from "./timeline.tsx";

export function TurnDetails({ turn, row: wanted }: { turn: Turn; row: number }) {
  const open = useSignal<ReadonlySet<number>>(new Set());
  const rows = useComputed(() => (void version.value, waterfall(turn)));
  const shown = rows.value.flatMap((row) => (row.rows && open.value.has(row.id) ? [row, ...row.rows.map(below)] : [row]));
  const chosen = shown.find((row) => row.id === wanted && row.kind !== "posts") ?? shown.find((row) => holds(row, wanted)) ?? shown[0];
  const began = beginning(rows.value);
  const toggle = (row: Row) => {
    const next = new Set(open.value);
    if (!next.delete(row.id)) {
      next.add(row.id);
    }
    open.value = next;
  };
  return (
    <>
      <Summary turn={turn} began={began} />
      <div class="waterfall" role="group" aria-label={words.value.waterfall} onKeyDown={moveFocus}>
        {shown.map((row) => (
          <WaterfallRow
            key={`${row.kind}${row.id}`}
            row={row}
            turn={turn}
            began={began}
            isChosen={row === chosen}
            isOpen={open.value.has(row.id)}
            onToggle={() => toggle(row)}
          />
        ))}
      </div>
      {chosen && <RowDetails key={`${chosen.kind}${chosen.id}`} row={chosen} turn={turn} />}
    </>
  );
}

/** Move the focus between rows with the arrows. */
function moveFocus(event: TargetedKeyboardEvent<HTMLDivElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>(".wf-row")];
  const next = step && rows[rows.indexOf(document.activeElement as HTMLElement) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

const below = (row: Row): Row => ({ ...row, depth: row.depth + 1 });

function holds(row: Row, number: number): boolean {
  return (
    row.rows?.some((each) => each.id === number) ||
    (row.kind === "invocation" && (row.invocation?.start.number === number || row.invocation?.end?.number === number))
  );
}

function Summary({ turn, began }: { turn: Turn; began: number }) {
  void version.value; // The same turn grows.
  const cost = useLoaded<Cost>("cost");
  const { reads, writes, calls, posts } = sums(turn);
  const user = turn.connection && users.value.get(turn.connection);
  const facts: [string, string | number][] = [
    [words.value.duration, duration(turn.until - began)],
    [words.value.calls, calls],
    [words.value.posts, posts],
    [words.value.readUnits, amount(reads)],
    [words.value.writeUnits, amount(writes)],
    ...(cost.data ? ([[words.value.cost, money(dollars(turn, cost.data))]] as [string, string][]) : []),
  ];
  return (
    <header class="summary">
      <a class="button small back" href={hrefOf("timeline", { ...route.value.parameters, turn: "", row: "" })}>
        <Icon name="left" /> {words.value.back}
      </a>
      <h3>
        <Badge kind={`cause ${turn.cause}`}>{words.value.causes[turn.cause]}</Badge> {title(turn)} {turn.failed && <Failed />}
      </h3>
      <p class="quiet">
        {clock(turn.at)} {turn.connection && <ConnectionLink id={turn.connection} />} {user && <span class="visually-hidden">{user}</span>}
      </p>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </header>
  );
}

interface WaterfallRowProps {
  row: Row;
  turn: Turn;
  began: number;
  isChosen: boolean;
  isOpen: boolean;
  onToggle: () => void;
}

function WaterfallRow({ row, turn, began, isChosen, isOpen, onToggle }: WaterfallRowProps) {
  const track = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const { left, width } = bar(row, turn, began);
  // The policy of the page forbids style attributes, and allows properties.
  useLayoutEffect(() => {
    track.current?.style.setProperty("--left", `${left}%`);
    track.current?.style.setProperty("--width", `${width}%`);
    button.current?.style.setProperty("--depth", String(row.depth));
  }, [left, width, row.depth]);
  const takes = row.ended - row.began;
  return (
    <button
      ref={button}
      type="button"
      class={`wf-row of-${row.kind} ${row.failed ? "bad" : ""}`}
      aria-pressed={row.rows ? undefined : isChosen}
      aria-expanded={row.rows ? isOpen : undefined}
      onClick={() => {
        if (row.rows) {
          onToggle();
        }
        change({ row: String(row.id) }, true);
      }}
    >
      <span class="wf-name">
        <span class="mark" aria-hidden="true" />
        <Name row={row} isOpen={isOpen} />
      </span>
      <span class="wf-track" aria-hidden="true">
        <span ref={track} class={`wf-bar ${takes === 0 ? "point" : ""}`} />
      </span>
      <span class="wf-time">
        <span class="visually-hidden">{`+${duration(row.began - began)} `}</span>
        {takes > 0 ? duration(takes) : `+${duration(row.began - began)}`}
      </span>
    </button>
  );
}

function Name({ row, isOpen }: { row: Row; isOpen: boolean }) {
  const { event, invocation } = row;
  switch (row.kind) {
    case "frame":
      return <Text main={words.value.frameIn} more={bytes(event.bytes ?? 0)} />;
    case "frame-out":
      return <Text main={words.value.frameOut} more={bytes(event.bytes ?? 0)} />;
    case "invocation":
      return (
        <>
          <Text main={invocation!.function} more={event.error ?? ""} failed={row.failed} />
          <Badge kind={invocation!.start.cold ? "cold" : "warm"}>{invocation!.start.cold ? words.value.cold : words.value.warm}</Badge>
          {!invocation!.end && <Badge kind="running">{words.value.running}</Badge>}
        </>
      );
    case "call":
      return (
        <Text
          main={`${event.service} ${event.operation}`}
          more={[event.units === undefined ? "" : words.value.unitsOf(amount(event.units)), row.failed ? event.status : ""].filter(Boolean).join(" · ")}
          failed={row.failed}
        />
      );
    case "post":
      return (
        <Text
          main={`post ${messageName(event.brief) ?? ""}`}
          more={row.failed ? `${event.status} · ${event.connection_id}` : `${words.value.frameOut} ${bytes(event.bytes ?? 0)}`}
          failed={row.failed}
        />
      );
    case "posts":
      return (
        <>
          <Text main={words.value.foldedPosts(row.rows!.length)} more={bytes(row.rows!.reduce((sum, each) => sum + (each.event.bytes ?? 0), 0))} />
          <span class="visually-hidden">{isOpen ? words.value.fold : words.value.expand}</span>
          <Icon name={isOpen ? "close" : "plus"} />
        </>
      );
    case "log":
      return <Text main={lineOf(event.line ?? "")} failed={row.failed} />;
    default:
      return <Text main={event.kind} more={nameOf(event)} failed={row.failed} />;
  }
}

function Text({ main, more = "", failed = false }: { main: string; more?: string | number; failed?: boolean }) {
  return (
    <span class="wf-text">
      {failed && <Failed />} <span>{main}</span> {more !== "" && <span class="quiet">{more}</span>}
    </span>
  );
}

/** What is behind a row: the invocation with its payloads, the line, or the fields of the event. */
function RowDetails({ row, turn }: { row: Row; turn: Turn }) {
  if (row.invocation) {
    return <InvocationDetails id={row.invocation.start.number} isEnded={row.invocation.end !== undefined} />;
  }
  const { number, at, brief: _brief, line, ...fields } = row.event;
  return (
    <section class="row-details" aria-label={words.value.details}>
      {line !== undefined && <Payload name={words.value.log} value={parsed(line) ?? line} />}
      {row.kind === "post" && row.event.request_id && <PostDetails number={number} request={row.event.request_id} />}
      {row.kind === "frame" && turn.invocations[0] && <FrameDetails start={turn.invocations[0].start.number} />}
      <Payload name={`${number} · ${clock(at)}`} value={fields} />

    </section>
  );
}

/** The text of a frame, which is the body of the event that it became. */
function FrameDetails({ start }: { start: number }) {
  const { data } = useLoaded<Details>(`invocations/${start}`);
  const body = (data?.event as { body?: unknown } | undefined)?.body;
  return body === undefined ? null : <Payload name={words.value.frameIn} value={parsed(body) ?? body} />;
}

/** The text of a post. The trace has its beginning only, the invocation all of it. */
function PostDetails({ number, request }: { number: number; request: string }) {
  const { data } = useLoaded<Details>(`invocations/${encodeURIComponent(request)}`);
  const post = data?.posts.find((each) => each.number === number);
  return post && "data" in post ? <Payload name={words.value.frameOut} value={post.data} /> : null;
}
