/** The open connections, and when the gateway closes them. */
import { useSignal } from "@preact/signals";
import { path, request } from "../api.ts";
import { users } from "../feed.ts";
import { clock, span } from "../format.ts";
import type { Connection } from "../model/types.ts";
import { Empty, Problem, useLoaded, useNow } from "../parts.tsx";
import { hrefOf } from "../route.ts";
import { words } from "../words.ts";

const EVERY_MS = 2_000;

export function ConnectionsView() {
  const { data, error, reload } = useLoaded<Connection[]>("connections", EVERY_MS);
  const problem = useSignal<Error | undefined>(undefined);
  const close = async (id: string) => {
    try {
      problem.value = undefined;
      await request("DELETE", path("connections", id));
    } catch (refused) {
      problem.value = refused as Error;
    }
    reload();
  };
  return (
    <div class="page">
      <Problem error={problem.value ?? error} />
      {!data && !error && <Empty>{words.value.loading}</Empty>}
      {data?.length === 0 && <Empty>{words.value.connectionsEmpty}</Empty>}
      <ul class="cards">
        {data?.map((each) => (
          <ConnectionCard key={each.connectionId} connection={each} onClose={() => void close(each.connectionId)} />
        ))}
      </ul>
    </div>
  );
}

function ConnectionCard({ connection, onClose }: { connection: Connection; onClose: () => void }) {
  const now = useNow();
  const opened = Date.parse(connection.connectedAt) / 1000;
  const user = connection.user ?? users.value.get(connection.connectionId);
  return (
    <li class="card">
      <h3>
        <span class="id">{connection.connectionId}</span>
      </h3>
      <dl class="facts">
        <Fact name={words.value.user} value={user ?? words.value.unknown} />
        <Fact name={words.value.open} value={`${span(now - opened)} · ${clock(opened)}`} />
        <Fact name={words.value.idle} value={span(connection.idleSecondsLeft)} />
        <Fact name={words.value.lifetime} value={span(connection.secondsLeft)} />
        <Fact name={words.value.stage} value={connection.stage} />
        <Fact name={words.value.subprotocol} value={connection.subprotocol ?? words.value.none} />
      </dl>
      <p class="quiet">{[connection.identity.sourceIp, connection.identity.userAgent].filter(Boolean).join(" · ")}</p>
      <div class="buttons">
        <a class="button small" href={hrefOf("timeline", { connection: connection.connectionId })}>
          {words.value.itsTurns}
        </a>
        <button type="button" class="button small bad" onClick={onClose}>
          {words.value.closeConnection}
        </button>
      </div>
    </li>
  );
}

function Fact({ name, value }: { name: string; value: string | number }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
