import type { Message } from "parley-client";
import type { TargetedEvent } from "preact";
import { memo } from "preact/compat";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { language } from "../../shared/preferences.ts";
import { IconButton } from "../../shared/ui.tsx";
import { placeAmong } from "../decisions/branches.ts";
import { moment } from "../decisions/format.ts";
import { whileWriting } from "../decisions/keys.ts";
import { arrange } from "../decisions/segments.ts";
import { useApp } from "../state/app.ts";
import { words } from "../words.ts";
import { Attachments } from "./attachments.tsx";
import { CostButton } from "./cost.tsx";
import { errorText } from "./errors.ts";
import { grow, isTouch } from "./field.ts";
import { Markdown } from "./markdown.tsx";
import { PartView, Refusal, Sources } from "./parts.tsx";

interface MessageProps {
  message: Message;
  /** It is the newest reply. */
  isLast: boolean;
  /** Its number in the list, for screen readers: most of the list is not in the document. */
  place: number;
  /** The number of messages, -1 if it is not known. */
  count: number;
}

export const MessageView = memo(function MessageView(props: MessageProps) {
  return props.message.role === "user" ? <Question {...props} /> : <Reply {...props} />;
});

function Question({ message, place, count }: MessageProps) {
  const { conversation } = useApp();
  if (conversation.editing.value === message.id) {
    return <EditForm message={message} />;
  }
  const stored = message.status === "done";
  return (
    <article class="message question" aria-label={words.value.you} aria-posinset={place} aria-setsize={count}>
      <h2 class="visually-hidden">{words.value.you}</h2>
      {!!message.attachments?.length && <Attachments files={message.attachments} stored={stored} />}
      <div class="bubble plain">{message.text}</div>
      <Delivery message={message} />
      {stored && (
        <div class="actions">
          <Branches message={message} />
          <Time message={message} />
          <CopyButton text={message.text} />
          <IconButton
            icon="edit"
            label={words.value.edit}
            disabled={conversation.busy.value}
            onClick={() => (conversation.editing.value = message.id)}
          />
        </div>
      )}
    </article>
  );
}

/** Where a message is that the server does not have yet. */
function Delivery({ message }: { message: Message }) {
  const { connection, conversation } = useApp();
  const text = words.value;
  if (message.status === "sending") {
    return <p class="delivery quiet small">{connection.value === "online" ? text.sending : text.waitingForConnection}</p>;
  }
  if (message.status !== "failed") {
    return null;
  }
  return (
    <div class="delivery failed" role="alert">
      <span>
        {text.notSent} {errorText(message.error)}
      </span>
      <button type="button" class="button" onClick={() => conversation.retry(message)}>
        {text.sendAgain}
      </button>
      <button type="button" class="button" onClick={() => conversation.discard(message)}>
        {text.remove}
      </button>
    </div>
  );
}

function EditForm({ message }: { message: Message }) {
  const { conversation } = useApp();
  const [text, setText] = useState(message.text);
  const field = useRef<HTMLTextAreaElement>(null);
  // Before the next key: a person who types fast would write it into the field of new messages.
  useLayoutEffect(() => {
    const { current } = field;
    current!.focus();
    current!.setSelectionRange(current!.value.length, current!.value.length);
    grow(current!);
  }, []);
  const cancel = () => (conversation.editing.value = undefined);
  const send = () => text.trim() !== "" && conversation.edit(message, text);
  return (
    <form
      class="message question editing"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={field}
        class="field"
        aria-label={words.value.editMessage}
        value={text}
        rows={1}
        onInput={(event: TargetedEvent<HTMLTextAreaElement>) => {
          setText(event.currentTarget.value);
          grow(event.currentTarget);
        }}
        onKeyDown={(event) => {
          const action = whileWriting(event, { empty: false, editing: true, replying: false, touch: isTouch() });
          if (action !== undefined) {
            event.preventDefault();
            event.stopPropagation();
            (action === "send" ? send : cancel)();
          }
        }}
      />
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={cancel}>
          {words.value.cancel}
        </button>
        <button type="submit" class="button main" disabled={text.trim() === "" || conversation.busy.value}>
          {words.value.sendEdited}
        </button>
      </div>
    </form>
  );
}

function Reply({ message, isLast, place, count }: MessageProps) {
  const { conversation } = useApp();
  const { segments, sources, refusal } = arrange(message.text, message.parts);
  const running = message.status === "running" || message.status === "waiting";
  const lastText = segments.findLastIndex((segment) => segment.kind === "text");
  return (
    <article
      class="message reply"
      aria-label={words.value.assistant}
      aria-busy={message.status === "running"}
      aria-posinset={place}
      aria-setsize={count}
    >
      <h2 class="visually-hidden">{words.value.assistant}</h2>
      {segments.map((segment, at) =>
        segment.kind === "text" ? (
          <Markdown key={`text ${segment.start}`} text={segment.text} growing={running && at === lastText} />
        ) : (
          <PartView key={`part ${segment.part.index}`} part={segment.part} running={running && at === segments.length - 1} />
        ),
      )}
      {refusal !== undefined && <Refusal text={refusal} />}
      {sources.length > 0 && <Sources sources={sources} />}
      {message.status === "running" && <Thinking quiet={message.text !== ""} />}
      {message.partCount !== undefined && message.partCount > message.parts.length && (
        <button type="button" class="button" onClick={() => void conversation.load(message.id)}>
          <Icon name="download" />
          {words.value.loadOlder}
        </button>
      )}
      {!running && <Ending message={message} />}
      {!running && <ReplyActions message={message} isLast={isLast} />}
    </article>
  );
}

function Thinking({ quiet }: { quiet: boolean }) {
  return (
    <div class={quiet ? "thinking quiet" : "thinking"}>
      <i />
      <i />
      <i />
      <span class="visually-hidden">{words.value.thinking}</span>
    </div>
  );
}

/** A note under a reply that did not end by itself. */
function Ending({ message }: { message: Message }) {
  const note = words.value.ended[message.finishReason as keyof typeof words.value.ended];
  return note === undefined ? null : <p class={`ending small ${message.finishReason === "error" ? "bad" : "quiet"}`}>{note}</p>;
}

function ReplyActions({ message, isLast }: { message: Message; isLast: boolean }) {
  const { conversation } = useApp();
  const { ratings, busy } = conversation;
  const text = words.value;
  const rating = ratings.value.has(message.id) ? ratings.value.get(message.id) : message.feedback;
  const rate = (value: "up" | "down") => void conversation.rate(message.id, rating === value ? null : value);
  return (
    <div class={isLast ? "actions last" : "actions"}>
      <Branches message={message} />
      <CopyButton text={message.text} />
      <IconButton icon="up" label={text.good} aria-pressed={rating === "up"} onClick={() => rate("up")} />
      <IconButton icon="down" label={text.bad} aria-pressed={rating === "down"} onClick={() => rate("down")} />
      {isLast && (
        <IconButton icon="again" label={text.regenerate} disabled={busy.value} onClick={() => void conversation.regenerate()} />
      )}
      {message.cost != null && <CostButton cost={message.cost} usage={message.usage ?? undefined} />}
      <Time message={message} />
    </div>
  );
}

function Branches({ message }: { message: Message }) {
  const { conversation } = useApp();
  const place = placeAmong(message.id, message.siblings);
  if (place === undefined) {
    return null;
  }
  const show = (id: string | undefined) => id !== undefined && void conversation.select(id);
  const busy = conversation.busy.value;
  return (
    <div class="branches" role="group" aria-label={words.value.branch}>
      <IconButton icon="left" label={words.value.previous} disabled={busy || !place.previous} onClick={() => show(place.previous)} />
      <span class="small">{words.value.place(place.number, place.count)}</span>
      <IconButton icon="right" label={words.value.next} disabled={busy || !place.next} onClick={() => show(place.next)} />
    </div>
  );
}

function Time({ message }: { message: Message }) {
  if (message.timestamp == null) {
    return null;
  }
  return (
    <time class="quiet small" dateTime={message.timestamp}>
      {moment(new Date(message.timestamp), new Date(), language.value)}
    </time>
  );
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return <IconButton icon={copied ? "check" : "copy"} label={copied ? words.value.copied : words.value.copy} onClick={() => void copy()} />;
}
