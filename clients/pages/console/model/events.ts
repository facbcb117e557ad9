/** Events of the trace, as the emulator's API has them (docs/emulator/json-api.md). */
export interface TraceEvent {
  number: number;
  /** Seconds since the epoch. */
  at: number;
  kind: string;
  connection_id?: string;
  function?: string;
  request_id?: string | null;
  caller?: string;
  cold?: boolean | null;
  milliseconds?: number;
  error?: string | null;
  status?: number;
  bytes?: number;
  route?: string;
  method?: string;
  path?: string;
  service?: string;
  operation?: string;
  units?: number;
  /** Of a call of Lambda: the request id of the invocation that it began. */
  invoked?: string;
  line?: string;
  code?: number;
  cause?: string;
  /** The beginning of the payload, where it is recorded. */
  brief?: string;
  [field: string]: unknown;
}

const FAILURES = new Set(["refuse", "limit", "unrouted", "throttle", "dead_letter", "denied", "engine"]);
const ERROR_LINE = /"(?:level|log_level)"\s*:\s*"(?:ERROR|CRITICAL|FATAL)"|\b(?:ERROR|CRITICAL)\b|Traceback \(most/;

/** Return whether an event is about something that went wrong. The emulator decides the same way for `error=1`. */
export function hasFailed(event: TraceEvent): boolean {
  if (event.kind === "log") {
    return ERROR_LINE.test(event.line ?? "");
  }
  return FAILURES.has(event.kind) || Boolean(event.error) || (event.status ?? 0) >= 400;
}

/** Return when what an event tells of began: most events are recorded at the end. */
export function beganAt(event: TraceEvent): number {
  return event.at - (event.milliseconds ?? 0) / 1000;
}
