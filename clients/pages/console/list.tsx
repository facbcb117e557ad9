/** A long list of which one row is chosen. Only the rows in sight are drawn; arrows move the choice. */
import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { VList, type VListHandle } from "virtua";

interface LongListProps<T> {
  label: string;
  rows: readonly T[];
  chosen: number | undefined;
  id: (row: T) => number;
  href: (row: T) => string;
  draw: (row: T) => ComponentChildren;
}

const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };

export function LongList<T>({ label, rows, chosen, id, href, draw }: LongListProps<T>) {
  const list = useRef<VListHandle>(null);
  const box = useRef<HTMLElement>(null);
  const isAway = useRef(false);
  /** The row that gets the focus as soon as it is drawn. */
  const focusing = useRef<number | undefined>(undefined);
  const drew = (row: number, element: HTMLElement | null) => {
    if (element && focusing.current === row) {
      focusing.current = undefined;
      focus(element);
    }
  };
  const place = chosen === undefined ? -1 : rows.findIndex((row) => id(row) === chosen);
  const move = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const step = STEPS[event.key];
    const focused = Number((document.activeElement as HTMLElement | null)?.dataset["row"] ?? NaN);
    const from = rows.findIndex((row) => id(row) === focused);
    const to = event.key === "Home" ? 0 : event.key === "End" ? rows.length - 1 : from + (step ?? NaN);
    if (from < 0 || Number.isNaN(to)) {
      return;
    }
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, to));
    list.current?.scrollToIndex(next, { align: "nearest" });
    location.hash = href(rows[next]!);
    const row = id(rows[next]!);
    const drawn = box.current?.querySelector<HTMLElement>(`[data-row="${row}"]`);
    drawn?.focus({ preventScroll: true });
    focusing.current = drawn ? undefined : row;
  };
  // A row that a link has chosen may be far away.
  useEffect(() => {
    if (place >= 0 && !box.current?.querySelector(`[data-row="${chosen}"]`)) {
      list.current?.scrollToIndex(place, { align: "center" });
    }
  }, [chosen]);
  return (
    <nav class="long-list" aria-label={label} ref={box} onKeyDown={move}>
      {/* New rows come first. Who reads further down is not moved by them. The types of React name another `ref`. */}
      <VList ref={list as never} data={rows as T[]} shift={isAway.current} onScroll={(offset) => (isAway.current = offset > 8)}>
        {(row: T) => (
          <a key={id(row)} ref={(element) => drew(id(row), element as HTMLElement | null)} className="row" data-row={id(row)} href={href(row)} aria-current={id(row) === chosen ? "true" : undefined}>
            {draw(row) as never}
          </a>
        )}
      </VList>
    </nav>
  );
}

const FRAMES = 60;

/** Focus a row that was drawn just now: it cannot be focused before the list has measured it, a frame or two later. */
function focus(row: HTMLElement, frames = FRAMES): void {
  row.focus({ preventScroll: true });
  if (document.activeElement !== row && row.isConnected && frames > 0) {
    requestAnimationFrame(() => focus(row, frames - 1));
  }
}
