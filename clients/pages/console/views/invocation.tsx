/** One invocation: what the function got, answered and printed; its replay, also with another event; its fixture. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { request } from "../api.ts";
import { recording, trace } from "../feed.ts";
import { clock, duration, parsed } from "../format.ts";
import type { InvocationDetails as Details, Replayed } from "../model/types.ts";
import { Badge, ConnectionLink, Empty, Payload, Problem, useLoaded } from "../parts.tsx";
import { hrefOf, route } from "../route.ts";
import { words } from "../words.ts";
import { Failed } from "./timeline.tsx";

export function InvocationDetails({ id, isEnded }: { id: number; isEnded: boolean }) {
  const { data, error, reload } = useLoaded<Details>(`invocations/${id}`);
  useEffect(() => {
    if (isEnded && data && !data.ended) {
      reload();
    }
  }, [isEnded, data]);
  if (error) {
    return <Problem error={error} />;
  }
  if (!data) {
    return <Empty>{words.value.loading}</Empty>;
  }
  return (
    <section class="invocation" aria-label={data.function}>
      <header>
        <h3>
          {data.function} {data.error && <Failed />}
        </h3>
        <p class="quiet">
          {clock(data.at)} · {data.milliseconds === null ? words.value.running : duration(data.milliseconds / 1000)} ·{" "}
          {data.cold ? words.value.cold : words.value.warm} · {words.value.caller} {data.caller}
          {data.error && <strong class="bad"> · {data.error}</strong>}
        </p>
        <p class="quiet">
          <span class="id">{data.requestId}</span> {data.connectionId && <ConnectionLink id={data.connectionId} />}
        </p>
        <OtherPlace details={data} />
      </header>
      <Actions details={data} />
      <Payloads details={data} />
      <Log lines={data.log} />
    </section>
  );
}

/** The link from the list of invocations to the turn, and back. */
function OtherPlace({ details }: { details: Details }) {
  const turn = trace.turnOf(details.id);
  if (route.value.view === "timeline" || !turn) {
    return <a href={hrefOf("invocations", { id: String(details.id) })}>{words.value.openInvocation}</a>;
  }
  return <a href={hrefOf("timeline", { turn: String(turn.id), row: String(details.id) })}>{words.value.openTurn}</a>;
}

function Payloads({ details }: { details: Details }) {
  if (!details.recorded) {
    return <p class="note">{recording.value ? words.value.noPayload : words.value.notRecorded}</p>;
  }
  const event = details.event as { body?: unknown } | null;
  const body = typeof event === "object" && event !== null ? parsed(event.body) : undefined;
  const answer = details.answer as { body?: unknown } | null | undefined;
  const answered = typeof answer === "object" && answer !== null ? parsed(answer.body) : undefined;
  return (
    <div class="payloads">
      {body !== undefined && <Payload name={words.value.body} value={body} />}
      {"answer" in details && <Payload name={words.value.answer} value={answered === undefined ? details.answer : { ...answer, body: answered }} />}
      <Payload name={words.value.event} value={details.event} />
    </div>
  );
}

function Log({ lines }: { lines: string[] }) {
  return lines.length > 0 ? <Payload name={words.value.log} value={lines.map(readable).join("\n")} /> : <p class="quiet">{words.value.noLog}</p>;
}

/** Return a line of the log. One in JSON is written over several lines. */
function readable(line: string): string {
  const value = parsed(line);
  return value === undefined ? line : JSON.stringify(value, null, 2);
}

function Actions({ details }: { details: Details }) {
  const draft = useSignal<string | null>(null);
  const busy = useSignal(false);
  const problem = useSignal<Error | undefined>(undefined);
  const done = useSignal<Replayed | undefined>(undefined);
  const run = async (event?: string) => {
    busy.value = true;
    problem.value = done.value = undefined;
    try {
      done.value = await request<Replayed>("POST", `invocations/${details.id}/replay`, event ?? "");
      draft.value = null;
    } catch (error) {
      problem.value = error as Error;
    }
    busy.value = false;
  };
  const text = () => JSON.stringify(details.event ?? {}, null, 2);
  return (
    <div class="actions">
      <div class="buttons">
        <button type="button" class="button small main" disabled={!details.recorded || busy.value} onClick={() => void run()}>
          <Icon name="again" /> {busy.value ? words.value.replaying : words.value.replay}
        </button>
        <button type="button" class="button small" disabled={busy.value} aria-expanded={draft.value !== null} onClick={() => (draft.value = draft.value === null ? text() : null)}>
          <Icon name="edit" /> {words.value.edit}
        </button>
        <button type="button" class="button small" disabled={!details.recorded} title={words.value.saveHint(details.id)} onClick={() => download(details)}>
          <Icon name="download" /> {words.value.save}
        </button>
      </div>
      {details.redacted && details.redacted.length > 0 && (
        <p class="note">
          {words.value.redacted} {details.redacted.join(", ")}
        </p>
      )}
      {draft.value !== null && (
        <form
          class="editor"
          onSubmit={(event) => {
            event.preventDefault();
            void run(draft.value!);
          }}
        >
          <label>
            {words.value.editEvent}
            <textarea class="field" rows={12} spellcheck={false} value={draft.value} onInput={(event) => (draft.value = event.currentTarget.value)} />
          </label>
          <div class="buttons">
            <button type="submit" class="button small main" disabled={busy.value}>
              {words.value.replay}
            </button>
            <button type="button" class="button small" onClick={() => (draft.value = null)}>
              {words.value.cancel}
            </button>
          </div>
        </form>
      )}
      <Problem error={problem.value} />
      {done.value && (
        <div class="replayed" role="status">
          <p>
            {done.value.error ? <Badge kind="bad">{done.value.error}</Badge> : <Icon name="check" />} {duration(done.value.milliseconds / 1000)}{" "}
            {done.value.id !== null && <a href={hrefOf("invocations", { id: String(done.value.id) })}>{words.value.openReplay}</a>}
          </p>
          <Payload name={words.value.replayed} value={done.value.answer} />
        </div>
      )}
    </div>
  );
}

/** Save the event as `parley save` does: the same text, in a file for a test. */
function download(details: Details): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(details.event, null, 2)}\n`], { type: "application/json" }));
  link.download = `${details.function}-${details.id}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
