/** The queues with their messages and dead letters. */
import { Icon } from "../../shared/icons.tsx";
import { path } from "../api.ts";
import { clock, parsed } from "../format.ts";
import type { Message, Queue } from "../model/types.ts";
import { Badge, Empty, Payload, Problem, useLoaded } from "../parts.tsx";
import { hrefOf, route } from "../route.ts";
import { words } from "../words.ts";

const EVERY_MS = 2_000;

export function QueuesView() {
  const { data, error } = useLoaded<Queue[]>("queues", EVERY_MS);
  const { name } = route.value.parameters;
  return (
    <div class="page">
      <Problem error={error} />
      {!data && !error && <Empty>{words.value.loading}</Empty>}
      {data?.length === 0 && <Empty>{words.value.queuesEmpty}</Empty>}
      <ul class="cards">
        {data?.map((queue) => (
          <QueueCard key={queue.name} queue={queue} isOpen={queue.name === name} />
        ))}
      </ul>
    </div>
  );
}

function QueueCard({ queue, isOpen }: { queue: Queue; isOpen: boolean }) {
  const count = queue.visible + queue.inFlight + queue.delayed;
  const isDead = queue.deadLettersOf.length > 0;
  return (
    <li class={`card ${isOpen ? "wide" : ""}`}>
      <h3>
        <a href={hrefOf("queues", { name: isOpen ? "" : queue.name })} aria-expanded={isOpen}>
          {queue.name}
        </a>{" "}
        {isDead && count > 0 && (
          <span class="failed">
            <Icon name="warning" /> {count}
          </span>
        )}
      </h3>
      <p>
        <Badge>{`${queue.visible} ${words.value.visible}`}</Badge> <Badge>{`${queue.inFlight} ${words.value.inFlight}`}</Badge>{" "}
        <Badge>{`${queue.delayed} ${words.value.delayed}`}</Badge>
      </p>
      {queue.deadLetters && <p class="quiet">{words.value.deadLettersTo(queue.deadLetters, queue.maxReceives ?? 0)}</p>}
      {isDead && <p class="quiet">{words.value.deadLettersOf(queue.deadLettersOf.join(", "))}</p>}
      {isOpen && <Messages name={queue.name} />}
    </li>
  );
}

function Messages({ name }: { name: string }) {
  const { data, error } = useLoaded<Queue & { messages: Message[] }>(path("queues", name), EVERY_MS);
  return (
    <>
      <Problem error={error} />
      <p class="quiet">{data?.messages.length === 0 ? words.value.queueEmpty : words.value.oldest}</p>
      <ul class="items">
        {data?.messages.map((message) => (
          <li key={message.id}>
            <details>
              <summary>
                <span class="keys">{message.id}</span> <Badge>{message.state}</Badge>
                <span class="quiet others">
                  {[message.sentAt === null ? "" : clock(message.sentAt), words.value.receives(message.receives), message.body].filter(Boolean).join(" · ")}
                </span>
              </summary>
              <Payload name={words.value.messageBody} value={parsed(message.body) ?? message.body} />
              {Object.keys(message.attributes).length > 0 && <Payload name={words.value.details} value={message.attributes} />}
            </details>
          </li>
        ))}
      </ul>
    </>
  );
}
