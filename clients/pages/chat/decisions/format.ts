/** Numbers and times as people read them. */
import type { Language } from "../../shared/preferences.ts";

/** Return an amount of dollars with two digits that say something: $0.0012, $1.30. */
export function dollars(usd: number, language: Language): string {
  const options = usd === 0 || usd >= 1 ? { minimumFractionDigits: 2, maximumFractionDigits: 2 } : { maximumSignificantDigits: 2 };
  return `$${new Intl.NumberFormat(language, options).format(usd)}`;
}

export function quantity(amount: number, language: Language): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: amount < 10 ? 3 : 1 }).format(amount);
}

/** Return the size of a file: "48 KB". */
export function fileSize(bytes: number, language: Language): string {
  const units = [
    [1024 * 1024, { en: "MB", ru: "МБ" }],
    [1024, { en: "KB", ru: "КБ" }],
  ] as const;
  for (const [size, unit] of units) {
    if (bytes >= size) {
      return `${new Intl.NumberFormat(language, { maximumFractionDigits: bytes < 10 * size ? 1 : 0 }).format(bytes / size)} ${unit[language]}`;
    }
  }
  return `${new Intl.NumberFormat(language).format(bytes)} ${language === "ru" ? "Б" : "B"}`;
}

/** Return the hour and minute, with the day before it unless it is today. */
export function moment(time: Date, now: Date, language: Language): string {
  const clock = { hour: "2-digit", minute: "2-digit" } as const;
  const today = time.toDateString() === now.toDateString();
  const day = { day: "numeric", month: "short", ...(time.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }) } as const;
  return new Intl.DateTimeFormat(language, today ? clock : { ...day, ...clock }).format(time);
}

export type Wait = { readonly seconds: number } | { readonly at: Date };

/** Return how to say when a refused action may be tried again: in so many seconds, or at a time of the clock. */
export function waitOf(retryAfter: number, now: Date): Wait {
  const seconds = Math.max(1, Math.ceil(retryAfter));
  return seconds <= 90 ? { seconds } : { at: new Date(now.getTime() + seconds * 1000) };
}

/** Return a text without the signs of Markdown, as it is read aloud. */
export function spoken(markdown: string): string {
  return markdown
    .replace(/```[\s\S]*?(```|$)/g, " … ")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[*_`#>|~]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
