import type { Cost, TokenUsage } from "parley-client";
import { useId, useRef } from "preact/hooks";
import { language } from "../../shared/preferences.ts";
import { Popover } from "../../shared/ui.tsx";
import { dollars, quantity } from "../decisions/format.ts";
import { words } from "../words.ts";

/** What a turn has used, and what that costs: the sum, which opens the items. */
export function CostButton({ cost, usage }: { cost: Cost; usage: TokenUsage | undefined }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const [text, shown] = [words.value, language.value];
  const amount = dollars(cost.usd, shown);
  const items: [string, number | null | undefined][] = [
    [text.costFrames, cost.frames],
    [text.costReads, cost.readUnits],
    [text.costWrites, cost.writeUnits],
    [text.costInvocations, cost.invocations],
    [text.costGbSeconds, cost.gbSeconds],
  ];
  return (
    <>
      <button ref={button} type="button" class="cost-button" popovertarget={id} aria-haspopup="dialog" aria-label={text.costOf(amount)}>
        {amount}
      </button>
      <Popover id={id} anchor={button} label={text.cost} class="cost">
        <strong>{text.costOf(amount)}</strong>
        <dl>
          {items.map(
            ([name, value]) =>
              value != null && (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{quantity(value, shown)}</dd>
                </div>
              ),
          )}
          {usage != null && (
            <div>
              <dt>{text.costTokens}</dt>
              <dd>{text.costTokensValue(quantity(usage.promptTokens ?? 0, shown), quantity(usage.completionTokens ?? 0, shown))}</dd>
            </div>
          )}
        </dl>
        <p class="quiet small">
          {text.costEstimate} {text.costCovers}: {cost.covers.map((part) => text.costPart[part] ?? part).join(", ") || "–"}.
        </p>
      </Popover>
    </>
  );
}
