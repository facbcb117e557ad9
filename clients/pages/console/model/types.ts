/** Answers of the emulator's own API (docs/emulator/json-api.schema.json). */
export interface Connection {
  connectionId: string;
  stage: string;
  connectedAt: string;
  lastActiveAt: string;
  identity: { sourceIp?: string; userAgent?: string | null };
  user: string | null;
  subprotocol: string | null;
  idleSecondsLeft: number;
  secondsLeft: number;
}

export interface Table {
  name: string;
  partitionKey: string;
  sortKey: string | null;
  ttlAttribute: string | null;
  items: number;
}

export type Item = Record<string, Record<string, unknown>>;

export interface Items extends Table {
  found: Item[];
  next: string | null;
}

export interface Queue {
  name: string;
  visible: number;
  inFlight: number;
  delayed: number;
  deadLetters: string | null;
  maxReceives: number | null;
  deadLettersOf: string[];
}

export interface Message {
  id: string;
  body: string;
  sentAt: number | null;
  receives: number;
  state: "visible" | "in flight" | "delayed";
  attributes: Record<string, string>;
}

export interface Cost {
  since: number;
  seconds: number;
  dollars: number;
  parts: CostPart[];
  region: string;
  pricesOf: string;
  leftOut: string[];
  memory: Record<string, number>;
}

export interface CostPart {
  name: string;
  what: string;
  unit: string;
  amount: number;
  dollarsPerMillion: number;
  dollars: number;
}

export interface Fault {
  id: number;
  point: string;
  do: string;
  match: string[];
  nth: number;
  times: number | null;
  chance: number;
  seconds: number;
  after: boolean;
  hits: number;
}

export interface InvocationDetails {
  id: number;
  requestId: string;
  function: string;
  caller: string;
  connectionId: string | null;
  at: number;
  milliseconds: number | null;
  cold: boolean | null;
  error: string | null;
  ended: boolean;
  recorded: boolean;
  event?: unknown;
  answer?: unknown;
  redacted?: string[];
  cut?: true;
  posts: { number: number; at: number; connectionId: string; status: number; data?: unknown }[];
  log: string[];
}

export interface Replayed {
  id: number | null;
  requestId: string;
  milliseconds: number;
  error: string | null;
  answer: unknown;
}
