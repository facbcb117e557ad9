/** Times, sizes and amounts as people read them. */
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** Return the time of day, in milliseconds. */
export function clock(seconds: number): string {
  return TIME.format(new Date(seconds * 1000));
}

export function duration(seconds: number): string {
  const milliseconds = seconds * 1000;
  if (milliseconds < 1000) {
    return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  }
  return seconds < 60 ? `${seconds.toFixed(2)} s` : span(seconds);
}

/** Return a long time: `1:59:03`, `9:58`. A time that is over is negative. */
export function span(seconds: number): string {
  const whole = Math.floor(Math.abs(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (value: number) => String(value).padStart(2, "0");
  const days = Math.floor(hours / 24);
  const text = days > 1 ? `${days} d` : hours > 0 ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
  return seconds < 0 ? `−${text}` : text;
}

export function bytes(count: number): string {
  return count < 1024 ? `${count} B` : count < 1024 * 1024 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1024 / 1024).toFixed(1)} MB`;
}

/** Return dollars with as many digits as a small amount needs. */
export function money(dollars: number): string {
  if (dollars === 0) {
    return "$0";
  }
  return dollars < 0.000_001 ? "< $0.000001" : `$${dollars >= 1 ? dollars.toFixed(2) : Number(dollars.toPrecision(2)).toFixed(dollars < 0.0001 ? 7 : 5).replace(/0+$/, "")}`;
}

/** Return a price as its page has it. */
export function price(dollars: number): string {
  return `$${new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 6 }).format(dollars)}`;
}

export function amount(value: number): string {
  return new Intl.NumberFormat("en", { maximumFractionDigits: value < 10 ? 3 : 1 }).format(value);
}

/** Return a value as JSON that is easy to read. A text stays as it is. */
export function pretty(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Return what a text of JSON stands for; undefined for any other text. */
export function parsed(text: unknown): unknown {
  if (typeof text !== "string" || !/^\s*[[{]/.test(text)) {
    return undefined;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
