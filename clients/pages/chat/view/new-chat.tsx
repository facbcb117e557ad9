import { useApp } from "../state/app.ts";
import { words } from "../words.ts";
import { FIELD } from "./composer.tsx";

/** An empty chat: the choice of the assistant, and its questions to begin with. */
export function NewChat() {
  const { assistants, conversation } = useApp();
  const text = words.value;
  const chosen = assistants.value.find(({ id }) => id === conversation.assistant.value) ?? assistants.value[0];
  return (
    <div class="scroll">
      <div class="column new">
        <h2>{text.greeting}</h2>
        {assistants.value.length > 1 && (
          <fieldset class="assistants">
            <legend class="visually-hidden">{text.whichAssistant}</legend>
            {assistants.value.map((assistant) => (
              <label key={assistant.id} class="assistant">
                <input
                  type="radio"
                  name="assistant"
                  checked={assistant === chosen}
                  onChange={() => {
                    conversation.assistant.value = assistant.id;
                  }}
                />
                <span>{assistant.title}</span>
              </label>
            ))}
          </fieldset>
        )}
        {chosen !== undefined && chosen.starters.length > 0 && (
          <ul class="starters" aria-label={text.starters}>
            {chosen.starters.map((starter) => (
              <li key={starter}>
                <button
                  type="button"
                  onClick={() => {
                    void conversation.send(starter);
                    document.getElementById(FIELD)?.focus();
                  }}
                >
                  {starter}
                </button>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}
