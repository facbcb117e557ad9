/** The tables, and the items of the one that is chosen, a page at a time. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { path, request } from "../api.ts";
import { span } from "../format.ts";
import { plainItem, secondsLeft } from "../model/items.ts";
import type { Item, Items, Table } from "../model/types.ts";
import { Badge, Empty, Payload, Problem, useLoaded, useNow } from "../parts.tsx";
import { change, hrefOf, route } from "../route.ts";
import { words } from "../words.ts";

export function TablesView() {
  const { data, error } = useLoaded<Table[]>("tables");
  const { name, key = "" } = route.value.parameters;
  const chosen = data?.find((each) => each.name === name) ?? data?.[0];
  return (
    <div class="page">
      <Problem error={error} />
      {!data && !error && <Empty>{words.value.loading}</Empty>}
      {data?.length === 0 && <Empty>{words.value.tablesEmpty}</Empty>}
      <Tabs label={words.value.views.tables} names={data?.map((each) => each.name) ?? []} chosen={chosen?.name} view="tables" />
      {chosen && <TableItems key={`${chosen.name} ${key}`} table={chosen} asked={key} />}
    </div>
  );
}

/** Links of which one is chosen. */
function Tabs({ label, names, chosen, view }: { label: string; names: string[]; chosen: string | undefined; view: "tables" | "queues" }) {
  return (
    <nav class="tabs" aria-label={label}>
      {names.map((name) => (
        <a key={name} href={hrefOf(view, { name })} aria-current={name === chosen ? "true" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

function TableItems({ table, asked }: { table: Table; asked: string }) {
  const pages = useSignal<Items[]>([]);
  const problem = useSignal<Error | undefined>(undefined);
  const typed = useSignal(asked);
  const load = async (next: string | null) => {
    const query = new URLSearchParams({ ...(asked && { key: asked }), ...(next && { next }) });
    try {
      const page = await request<Items>("GET", `${path("tables", table.name)}?${query.toString()}`);
      pages.value = next ? [...pages.value, page] : [page];
      problem.value = undefined;
    } catch (error) {
      problem.value = error as Error;
    }
  };
  useEffect(() => void load(null), []);
  const last = pages.value[pages.value.length - 1];
  const items = pages.value.flatMap((page) => page.found);
  return (
    <>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          change({ name: table.name, key: typed.value.trim() });
        }}
      >
        <label>
          <span class="quiet">{`${words.value.partitionKey}: ${table.partitionKey}`}</span>
          <input class="field" value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
        </label>
        <button type="submit" class="button">
          {words.value.lookUp}
        </button>
        <button type="button" class="button" onClick={() => (asked ? change({ name: table.name, key: "" }) : void load(null))}>
          {asked ? words.value.allItems : words.value.reload}
        </button>
        <span class="quiet">{words.value.items(table.items)}</span>
      </form>
      <p class="quiet">{words.value.local}</p>
      <Problem error={problem.value} />
      {last && items.length === 0 && <Empty>{words.value.tableEmpty}</Empty>}
      <ul class="items">
        {items.map((item, place) => (
          <ItemRow key={place} item={item} table={table} />
        ))}
      </ul>
      {last?.next && (
        <button type="button" class="button" onClick={() => void load(last.next)}>
          {words.value.more}
        </button>
      )}
    </>
  );
}

function ItemRow({ item, table }: { item: Item; table: Table }) {
  const now = useNow();
  const values = plainItem(item);
  const keys = [table.partitionKey, ...(table.sortKey ? [table.sortKey] : [])];
  const left = secondsLeft(item, table, now);
  const others = Object.keys(values).filter((name) => !keys.includes(name));
  return (
    <li>
      <details>
        <summary>
          <span class="keys">{keys.map((name) => String(values[name])).join(" / ")}</span>
          {left !== null && <Badge kind={left < 0 ? "bad" : "ttl"}>{left < 0 ? words.value.expired : words.value.expires(span(left))}</Badge>}
          <span class="quiet others">{others.map((name) => `${name}: ${JSON.stringify(values[name])}`).join("  ")}</span>
        </summary>
        <Payload name={keys.map((name) => String(values[name])).join(" / ")} value={values} />
      </details>
    </li>
  );
}
