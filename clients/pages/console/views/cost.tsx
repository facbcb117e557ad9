/** What this run would have cost on AWS: amounts, prices, the sum, and what is not in it. */
import { amount, clock, money, price } from "../format.ts";
import type { Cost } from "../model/types.ts";
import { Empty, Problem, useLoaded } from "../parts.tsx";
import { words } from "../words.ts";

const EVERY_MS = 2_000;

export function CostView() {
  const { data, error } = useLoaded<Cost>("cost", EVERY_MS);
  if (!data) {
    return error ? <Problem error={error} /> : <Empty>{words.value.loading}</Empty>;
  }
  return (
    <div class="page">
      <p class="big">
        <strong>{money(data.dollars)}</strong> <span class="quiet">{`${words.value.costSoFar}, ${words.value.since(clock(data.since))}`}</span>
      </p>
      <div class="table-box" tabIndex={0} role="region" aria-label={words.value.counted}>
        <table>
          <thead>
            <tr>
              <th scope="col">{words.value.counted}</th>
              <th scope="col">{words.value.amount}</th>
              <th scope="col">{words.value.price}</th>
              <th scope="col">{words.value.sum}</th>
            </tr>
          </thead>
          <tbody>
            {data.parts.map((part) => (
              <tr key={part.name}>
                <th scope="row">{words.value.costParts[part.name] ?? part.what}</th>
                <td>{`${amount(part.amount)} ${words.value.costUnits[part.name] ?? part.unit}`}</td>
                <td>{price(part.dollarsPerMillion)}</td>
                <td>{money(part.dollars)}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row" colSpan={3}>
                {words.value.total}
              </th>
              <td>{money(data.dollars)}</td>
            </tr>
          </tfoot>
        </table>
      </div>
      <section aria-labelledby="left-out">
        <h3 id="left-out">{words.value.leftOut}</h3>
        <ul>
          {data.leftOut.map((each) => (
            <li key={each}>{words.value.costLeftOut[each] ?? each}</li>
          ))}
        </ul>
      </section>
      <p class="quiet">{`${words.value.pricesOf(data.region, data.pricesOf)} ${words.value.onThisMachine}`}</p>
    </div>
  );
}
