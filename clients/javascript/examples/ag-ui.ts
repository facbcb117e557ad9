// An agent of AG-UI that is a chat of Parley, without a page: it asks one question and prints the messages.
//
//   PARLEY_URL=ws://127.0.0.1:8000/ws/chat PARLEY_TOKEN=… node ag-ui.mjs "Tell me about tea."
//
// Node 20 needs the option --experimental-websocket.
import { argv, env } from "node:process";
import { ParleyClient } from "parley-client";
import { ParleyAgent } from "parley-client/ag-ui";

const client = new ParleyClient({ url: env["PARLEY_URL"] ?? "", token: env["PARLEY_TOKEN"] ?? "" });
const agent = new ParleyAgent({ client });

agent.addMessage({ id: crypto.randomUUID(), role: "user", content: argv[2] ?? "Hello" });
await agent.runAgent({}, { onTextMessageContentEvent: ({ event }) => void console.error(event.delta) });
for (const message of agent.messages) {
  console.log(JSON.stringify(message));
}
client.close();
