/** Faults: switches for the usual ones, the plan that is active, and a form for any other. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { path, Refused, request } from "../api.ts";
import type { Fault } from "../model/types.ts";
import { Badge, Empty, Problem, useLoaded } from "../parts.tsx";
import { words } from "../words.ts";

type Plan = { faults: Fault[] };
type Points = Record<string, string[]>;
type Draft = Partial<Fault> & { point: string; do: string };

const EVERY_MS = 1_000;

/** The faults of the switches, without end. A fault of the plan that is the same is the switch's. */
const PRESETS: Record<string, Draft> = {
  gone: { point: "post", do: "410", times: null },
  slow: { point: "store", do: "delay", seconds: 2, times: null },
  throttled: { point: "store", do: "throttle", times: null },
  lost: { point: "message", do: "drop", times: null },
  killed: { point: "run", do: "kill", times: null },
};

function isOf(fault: Fault, preset: Draft): boolean {
  return (
    fault.point === preset.point &&
    fault.do === preset.do &&
    fault.times === null &&
    fault.match.length === 0 &&
    fault.seconds === (preset.seconds ?? 0)
  );
}

export function FaultsView() {
  const { data, error, reload } = useLoaded<Plan>("faults", EVERY_MS);
  const points = useLoaded<Points>("faults/points");
  const problem = useSignal<Error | undefined>(undefined);
  const send = async (method: string, to: string, faults?: Draft[]) => {
    try {
      await request(method, to, faults && JSON.stringify({ faults }));
      problem.value = undefined;
    } catch (refused) {
      problem.value = refused as Error;
    }
    reload();
  };
  if (error instanceof Refused && error.status === 404) {
    return <Empty>{words.value.noFaults}</Empty>;
  }
  const faults = data?.faults ?? [];
  return (
    <div class="page faults">
      <Problem error={problem.value ?? error} />
      <section aria-labelledby="quick">
        <h3 id="quick">{words.value.quick}</h3>
        <ul class="cards">
          {Object.entries(PRESETS).map(([name, preset]) => (
            <Switch
              key={name}
              name={name}
              found={faults.filter((each) => isOf(each, preset))}
              onChange={(found) =>
                void (found.length === 0
                  ? send("POST", "faults", [preset])
                  : Promise.all(found.map((each) => send("DELETE", path("faults", String(each.id))))))
              }
            />
          ))}
        </ul>
      </section>
      <section aria-labelledby="plan">
        <h3 id="plan">{words.value.plan}</h3>
        {data && faults.length === 0 && <Empty>{words.value.faultsOff}</Empty>}
        <ul class="items">
          {faults.map((fault) => (
            <li key={fault.id} class="bar">
              <span class="keys">{`${fault.point}: ${fault.do}`}</span>
              <span class="quiet others">{described(fault)}</span>
              <Badge kind={fault.hits > 0 ? "bad" : ""}>{words.value.hits(fault.hits)}</Badge>
              <button type="button" class="button small" onClick={() => void send("DELETE", path("faults", String(fault.id)))}>
                {words.value.remove}
              </button>
            </li>
          ))}
        </ul>
        {faults.length > 1 && (
          <button type="button" class="button small" onClick={() => void send("PUT", "faults", [])}>
            {words.value.removeAll}
          </button>
        )}
      </section>
      {points.data && <FaultForm points={points.data} onAdd={(draft) => void send("POST", "faults", [draft])} />}
    </div>
  );
}

function described(fault: Fault): string {
  const parts = [
    fault.match.length > 0 && `match ${fault.match.map((each) => JSON.stringify(each)).join(" + ")}`,
    fault.nth > 1 && `nth ${fault.nth}`,
    `times ${fault.times ?? "∞"}`,
    fault.seconds > 0 && `${fault.seconds} s`,
    fault.chance < 1 && `chance ${fault.chance}`,
    fault.after && "after",
  ];
  return parts.filter(Boolean).join(" · ");
}

function Switch({ name, found, onChange }: { name: string; found: Fault[]; onChange: (found: Fault[]) => void }) {
  const id = useId();
  const [title, what] = words.value.presets[name]!;
  const isOn = found.length > 0;
  return (
    <li class="card">
      <button type="button" role="switch" class="switch" aria-checked={isOn} aria-describedby={id} onClick={() => onChange(found)}>
        <span class="knob" aria-hidden="true" />
        {title}
      </button>
      <p id={id} class="quiet">
        {what}
      </p>
    </li>
  );
}

function FaultForm({ points, onAdd }: { points: Points; onAdd: (draft: Draft) => void }) {
  const point = useSignal("post");
  const what = useSignal("");
  const match = useSignal("");
  const nth = useSignal("1");
  const times = useSignal("1");
  const seconds = useSignal("0");
  const actions = points[point.value] ?? [];
  const action = actions.includes(what.value) ? what.value : (actions[0] ?? "");
  return (
    <section aria-labelledby="describe">
      <h3 id="describe">{words.value.describe}</h3>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          onAdd({
            point: point.value,
            do: action,
            match: match.value === "" ? [] : [match.value],
            nth: Number(nth.value),
            times: times.value === "" ? null : Number(times.value),
            seconds: Number(seconds.value),
          });
        }}
      >
        <label>
          {words.value.point}
          <select class="field" value={point.value} onChange={(event) => (point.value = event.currentTarget.value)}>
            {Object.keys(points).map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label>
          {words.value.action}
          <select class="field" value={action} onChange={(event) => (what.value = event.currentTarget.value)}>
            {actions.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label class="wide">
          {words.value.match}
          <input class="field" placeholder={words.value.matchHint} value={match.value} onInput={(event) => (match.value = event.currentTarget.value)} />
        </label>
        <NumberField label={words.value.nth} min={1} value={nth} />
        <NumberField label={words.value.times} min={1} value={times} hint={words.value.always} />
        <NumberField label={words.value.seconds} min={0} value={seconds} />
        <button type="submit" class="button main">
          <Icon name="plus" /> {words.value.add}
        </button>
      </form>
    </section>
  );
}

function NumberField({ label, min, value, hint }: { label: string; min: number; value: { value: string }; hint?: string }) {
  return (
    <label>
      {label}
      <input
        class="field"
        type="number"
        min={min}
        step={min === 0 ? "any" : 1}
        placeholder={hint}
        value={value.value}
        onInput={(event) => (value.value = event.currentTarget.value)}
      />
    </label>
  );
}
