/** What a reply has beside its text. All of it is text of strangers, and shown as text. */
import { useState } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { readable, webAddress, type Part } from "../decisions/segments.ts";
import { useApp } from "../state/app.ts";
import { words } from "../words.ts";

export function PartView({ part, running }: { part: Part; running: boolean }) {
  return part.kind === "reasoning" ? <Reasoning part={part} running={running} /> : <Call part={part} />;
}

function Reasoning({ part, running }: { part: Part; running: boolean }) {
  return (
    <details class="part">
      <summary>
        <Icon name="thought" />
        <span class="part-name">{running ? words.value.reasoningNow : words.value.reasoning}</span>
      </summary>
      <div class="part-body plain">{part.text}</div>
      {part.cut && <Cut />}
    </details>
  );
}

type CallState = keyof typeof words.value.callState;

function Call({ part }: { part: Part }) {
  const state = part.state as CallState | undefined;
  const waits = state === "waiting";
  return (
    <details class={`part call ${state ?? ""}`} open={waits}>
      <summary>
        <Icon name="tool" />
        <span class="part-name">{part.name}</span>
        <span class="part-state">{state === undefined ? "" : words.value.callState[state]}</span>
      </summary>
      <div class="part-body">
        <Field label={words.value.callArguments} text={readable(part.arguments ?? "")} />
        {part.result != null && <Field label={words.value.callResult} text={readable(part.result)} />}
        {part.cut && <Cut />}
      </div>
      {waits && part.callId !== undefined && <Approval name={part.name ?? ""} callId={part.callId} />}
    </details>
  );
}

function Field({ label, text }: { label: string; text: string }) {
  return (
    <div>
      <div class="quiet small">{label}</div>
      <pre class="part-text" tabIndex={0}>{text}</pre>
    </div>
  );
}

function Approval({ name, callId }: { name: string; callId: string }) {
  const { conversation } = useApp();
  const [answered, setAnswered] = useState(false);
  const answer = async (approved: boolean) => {
    setAnswered(true);
    await conversation.approve(callId, approved);
    // If the call still waits, the answer did not arrive, and the person may give it again.
    setAnswered(false);
  };
  return (
    <div class="approval" role="group" aria-label={words.value.mayRun(name)}>
      <p>{words.value.mayRun(name)}</p>
      <button type="button" class="button main" disabled={answered} onClick={() => void answer(true)}>
        {words.value.approve}
      </button>
      <button type="button" class="button" disabled={answered} onClick={() => void answer(false)}>
        {words.value.refuse}
      </button>
    </div>
  );
}

export function Sources({ sources }: { sources: readonly Part[] }) {
  return (
    <details class="part sources">
      <summary>
        <Icon name="link" />
        <span class="part-name">{words.value.sources(sources.length)}</span>
      </summary>
      <ol class="part-body">
        {sources.map((source) => (
          <li key={source.index}>
            <SourceLink source={source} />
            {source.text && <p class="quiet small plain">{source.text}</p>}
          </li>
        ))}
      </ol>
    </details>
  );
}

function SourceLink({ source }: { source: Part }) {
  const address = webAddress(source.url);
  const name = source.title || source.url;
  return address === undefined ? (
    <span>{name}</span>
  ) : (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow" title={address}>
      {name}
    </a>
  );
}

export function Refusal({ text }: { text: string }) {
  return (
    <div class="refusal">
      <Icon name="refused" />
      <div>
        <strong>{words.value.refused}</strong>
        <p class="plain">{text}</p>
      </div>
    </div>
  );
}

function Cut() {
  return <p class="quiet small">{words.value.cut}</p>;
}
