/** Texts for people, in each language. A dictionary is an object of texts, and of functions that make a text. */
import { computed, type ReadonlySignal } from "@preact/signals";
import { language, type Language } from "./preferences.ts";

/** Return the dictionary of the language that is chosen: a component that reads `.value` is drawn anew if it changes. */
export function dictionary<Words>(words: Record<Language, Words>): ReadonlySignal<Words> {
  return computed(() => words[language.value]);
}

const rules: Record<Language, Intl.PluralRules> = { en: new Intl.PluralRules("en"), ru: new Intl.PluralRules("ru") };

/** Return the form that goes with a number: English has `one` and `other`, Russian also `few` and `many`. */
export function plural(of: Language, count: number, forms: { one: string; few?: string; many?: string; other: string }): string {
  const form = rules[of].select(count) as "one" | "few" | "many" | "other";
  return `${new Intl.NumberFormat(of).format(count)} ${forms[form] ?? forms.other}`;
}
