/** What a person chooses for this device: the language and the colours. Without a choice the browser's hold. */
import { effect, signal } from "@preact/signals";
import { keep, recall } from "./storage.ts";

export const LANGUAGES = ["en", "ru"] as const;
export const THEMES = ["system", "light", "dark"] as const;
export type Language = (typeof LANGUAGES)[number];
export type Theme = (typeof THEMES)[number];

/** Return the first language of the list that we have, else English. */
export function languageOf(wanted: readonly string[]): Language {
  const bases = wanted.map((tag) => tag.toLowerCase().split("-")[0]);
  return LANGUAGES.find((language) => language === bases.find((base) => LANGUAGES.some((known) => known === base))) ?? "en";
}

function kept<T extends string>(key: string, values: readonly T[]): T | undefined {
  const value = recall(key);
  return values.find((known) => known === value);
}

export const language = signal<Language>("en");
export const theme = signal<Theme>("system");

/** Read the choices, and keep the document in step with them from now on. */
export function startPreferences(): void {
  language.value = kept("language", LANGUAGES) ?? languageOf(navigator.languages);
  theme.value = kept("theme", THEMES) ?? "system";
  effect(() => {
    document.documentElement.lang = language.value;
  });
  effect(() => {
    if (theme.value === "system") {
      delete document.documentElement.dataset["theme"];
    } else {
      document.documentElement.dataset["theme"] = theme.value;
    }
  });
  // Another tab has chosen.
  window.addEventListener("storage", () => {
    language.value = kept("language", LANGUAGES) ?? language.value;
    theme.value = kept("theme", THEMES) ?? theme.value;
  });
}

export function chooseLanguage(value: Language): void {
  language.value = value;
  keep("language", value);
}

export function chooseTheme(value: Theme): void {
  theme.value = value;
  keep("theme", value === "system" ? null : value);
}
