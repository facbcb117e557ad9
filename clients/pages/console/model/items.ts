/** Items of DynamoDB as plain values, their time to live, and the users of connections that are in them. */
import type { Item, Items, Table } from "./types.ts";

type Attribute = Record<string, unknown>;

/** Return an attribute as a plain value. Numbers stay texts if a number of JavaScript would not be the same. */
export function plain(attribute: Attribute): unknown {
  const [type, value] = Object.entries(attribute)[0] ?? ["NULL", true];
  switch (type) {
    case "N":
      return number(String(value));
    case "NS":
      return (value as string[]).map(number);
    case "NULL":
      return null;
    case "L":
      return (value as Attribute[]).map(plain);
    case "M":
      return plainItem(value as Item);
    default:
      return value;
  }
}

export function plainItem(item: Item): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).map(([name, attribute]) => [name, plain(attribute)]));
}

function number(text: string): number | string {
  const value = Number(text);
  return String(value) === text ? value : text;
}

/** Return the seconds that an item has left, negative if it is over; null if it does not end. */
export function secondsLeft(item: Item, table: Table, now: number): number | null {
  const ends = table.ttlAttribute ? item[table.ttlAttribute]?.["N"] : undefined;
  return ends === undefined ? null : Number(ends) - now;
}

const CONNECTION_KEY = /connection/i;
const USER = /^(user|owner|account|principal|member|player|sub|username|email)[-_]?(id|name)?$/i;

export function isOfConnections(table: Table): boolean {
  return CONNECTION_KEY.test(table.partitionKey) && table.sortKey === null;
}

/** Return the users of connections, as a table of connections has them. */
export function usersOf(page: Items): Map<string, string> {
  const users = new Map<string, string>();
  for (const item of page.found) {
    const connection = item[page.partitionKey]?.["S"];
    const name = Object.keys(item).find((each) => USER.test(each) && typeof item[each]?.["S"] === "string");
    if (typeof connection === "string" && name) {
      users.set(connection, item[name]!["S"] as string);
    }
  }
  return users;
}
