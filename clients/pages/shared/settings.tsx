/** The choices of language and colours, as both pages show them. */
import { dictionary } from "./i18n.ts";
import { chooseLanguage, chooseTheme, language, LANGUAGES, theme, THEMES, type Language, type Theme } from "./preferences.ts";

const words = dictionary({
  en: { language: "Language", theme: "Colours", system: "System", light: "Light", dark: "Dark" },
  ru: { language: "Язык", theme: "Оформление", system: "Как в системе", light: "Светлое", dark: "Тёмное" },
});

const NAMES: Record<Language, string> = { en: "English", ru: "Русский" };

interface ChoiceProps<T extends string> {
  name: string;
  legend: string;
  values: readonly T[];
  chosen: T;
  label: (value: T) => string;
  onChoose: (value: T) => void;
}

/** Row of values of which one is chosen. */
export function Choice<T extends string>({ name, legend, values, chosen, label, onChoose }: ChoiceProps<T>) {
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      <div class="choice-row">
        {values.map((value) => (
          <label key={value} lang={name === "language" ? value : undefined}>
            <input type="radio" name={name} checked={value === chosen} onChange={() => onChoose(value)} />
            <span>{label(value)}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function LanguageChoice() {
  return (
    <Choice
      name="language"
      legend={words.value.language}
      values={LANGUAGES}
      chosen={language.value}
      label={(value) => NAMES[value]}
      onChoose={chooseLanguage}
    />
  );
}

export function ThemeChoice() {
  const label = (value: Theme) => words.value[value];
  return <Choice name="theme" legend={words.value.theme} values={THEMES} chosen={theme.value} label={label} onChoose={chooseTheme} />;
}
