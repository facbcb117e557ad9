/** All invocations, the newest first, and the one that is chosen. */
import { trace, version } from "../feed.ts";
import { clock, duration } from "../format.ts";
import { LongList } from "../list.tsx";
import type { Invocation } from "../model/turns.ts";
import { Badge, Empty } from "../parts.tsx";
import { hrefOf, route } from "../route.ts";
import { words } from "../words.ts";
import { Icon } from "../../shared/icons.tsx";
import { InvocationDetails } from "./invocation.tsx";
import { Failed } from "./timeline.tsx";

export function InvocationsView() {
  const all = trace.turns.flatMap((turn) => turn.invocations).sort((one, other) => other.start.number - one.start.number);
  const id = Number(route.value.parameters["id"] ?? NaN);
  const chosen = all.find((each) => each.start.number === id);
  return (
    <div class={`split ${route.value.parameters["id"] ? "chosen" : ""}`}>
      <section class="side" aria-label={words.value.views.invocations}>
        {all.length === 0 && <Empty>{words.value.invocationsEmpty}</Empty>}
        <LongList
          label={words.value.views.invocations}
          rows={all}
          chosen={chosen?.start.number}
          id={(each) => each.start.number}
          href={(each) => hrefOf("invocations", { id: String(each.start.number) })}
          draw={(each) => <InvocationRow invocation={each} />}
        />
      </section>
      <section class="detail" aria-label={words.value.details}>
        <a class="button small back" href={hrefOf("invocations")}>
          <Icon name="left" /> {words.value.back}
        </a>
        {Number.isNaN(id) ? (
          <Empty>{words.value.chooseInvocation}</Empty>
        ) : (
          <InvocationDetails key={id} id={id} isEnded={chosen?.end !== undefined} />
        )}
      </section>
    </div>
  );
}

function InvocationRow({ invocation }: { invocation: Invocation }) {
  void version.value; // The same invocation ends.
  const { start, end } = invocation;
  return (
    <>
      <span class="row-line">
        <span class="row-title">{invocation.function}</span>
        {end?.error && <Failed />}
        <Badge kind={start.cold ? "cold" : "warm"}>{start.cold ? words.value.cold : words.value.warm}</Badge>
        <span class="row-time">{end ? duration((end.milliseconds ?? 0) / 1000) : words.value.running}</span>
      </span>
      <span class="row-line quiet">
        <span>{clock(start.at)}</span>
        <span class="row-title">{[start.caller, end?.error ?? start.brief].filter(Boolean).join(" · ")}</span>
      </span>
    </>
  );
}
