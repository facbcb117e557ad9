/** Groups of the list of chats: by the day of the last message. */

export type Period = "today" | "yesterday" | "week" | "month" | "older";

export interface Group<T> {
  readonly period: Period;
  readonly chats: readonly T[];
}

const DAY = 24 * 60 * 60 * 1000;

/** Return the period in which a time lies, for a person whose clock shows `now`. */
export function periodOf(time: Date, now: Date): Period {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const age = midnight - time.getTime();
  if (age <= 0) {
    return "today";
  }
  // Noon: a day on which clocks change has 23 or 25 hours.
  if (sameDay(time, new Date(midnight - DAY / 2))) {
    return "yesterday";
  }
  return age <= 7 * DAY ? "week" : age <= 30 * DAY ? "month" : "older";
}

function sameDay(one: Date, other: Date): boolean {
  return one.getFullYear() === other.getFullYear() && one.getMonth() === other.getMonth() && one.getDate() === other.getDate();
}

/** Return the chats that have the words in their titles, in any order of the words and in any case. */
export function matching<T extends { title: string }>(chats: readonly T[], search: string): readonly T[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return words.length === 0 ? chats : chats.filter(({ title }) => words.every((word) => title.toLocaleLowerCase().includes(word)));
}

/** Return the chats, which are sorted by their time, in groups. */
export function grouped<T extends { updatedAt: string }>(chats: readonly T[], now: Date): Group<T>[] {
  const groups: { period: Period; chats: T[] }[] = [];
  for (const chat of chats) {
    const period = periodOf(new Date(chat.updatedAt), now);
    const last = groups.at(-1);
    if (last?.period === period) {
      last.chats.push(chat);
    } else {
      groups.push({ period, chats: [chat] });
    }
  }
  return groups;
}
