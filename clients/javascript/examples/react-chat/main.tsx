// A chat with `useChat`. The address is in the page's own: index.html#url=ws://127.0.0.1:8000/ws/chat&token=…
// It stands behind the #, which browsers send to no server.
import { useChat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { ParleyClient } from "parley-client";
import { lastAttempt, ParleyChatTransport, type ParleyUIMessage, toUIMessages } from "parley-client/ai-sdk";
import { createRoot } from "react-dom/client";

const at = new URLSearchParams(location.hash.slice(1));
const client = new ParleyClient({ url: at.get("url") ?? "", token: at.get("token") ?? "" });
const transport = new ParleyChatTransport({ client });

function ChatPage({ id, history }: { id: string; history: ParleyUIMessage[] }) {
  const { messages, sendMessage, regenerate, stop, status, error, addToolApprovalResponse } = useChat({
    id,
    messages: history,
    transport,
    resume: true,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  const isBusy = status === "submitted" || status === "streaming";
  return (
    <main>
      {messages.map(lastAttempt).map((message) => (
        <section key={message.id} id={message.id} aria-label={message.role}>
          {message.parts.map((part, index) => (
            <Part key={index} part={part} answer={(approval, approved) => addToolApprovalResponse({ id: approval, approved })} />
          ))}
          {message.metadata?.cost && <small>${message.metadata.cost.usd.toFixed(6)}</small>}
        </section>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form
        action={(form) => {
          void sendMessage({ text: String(form.get("text")) });
        }}
      >
        <textarea name="text" aria-label="Message" required />
        <button disabled={isBusy}>Send</button>
        <button type="button" disabled={!isBusy} onClick={() => void stop()}>
          Stop
        </button>
        <button type="button" disabled={isBusy} onClick={() => void regenerate()}>
          Regenerate
        </button>
      </form>
    </main>
  );
}

interface PartProps {
  part: ParleyUIMessage["parts"][number];
  answer: (approvalId: string, approved: boolean) => void;
}

// All texts are put into the page as texts: React escapes them.
function Part({ part, answer }: PartProps) {
  switch (part.type) {
    case "text":
      return <p>{part.text}</p>;
    case "reasoning":
      return <details>{part.text}</details>;
    case "dynamic-tool": {
      const { approval } = part;
      return (
        <p>
          {part.toolName}: {part.state}
          {part.state === "approval-requested" && approval && (
            <>
              <button onClick={() => answer(approval.id, true)}>Allow</button>
              <button onClick={() => answer(approval.id, false)}>Refuse</button>
            </>
          )}
        </p>
      );
    }
    default:
      return null;
  }
}

// The chat of this page: the one that `chat` names, or a new one.
const known = at.get("chat");
const chat = await (known === null ? client.createChat() : client.openChat(known));
at.set("chat", chat.id);
history.replaceState(null, "", `#${at}`);
createRoot(document.getElementById("root")!).render(<ChatPage id={chat.id} history={toUIMessages(chat.snapshot.messages)} />);
