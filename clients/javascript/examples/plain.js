// A chat in a page without a framework. In clients/javascript:
//
//   npm run build
//   python3 -m http.server 8080 --bind 127.0.0.1
//
// Then open http://127.0.0.1:8080/examples/plain.html?token=TOKEN with what `parley token alice` prints, beside a
// running emulator. A real page gets its token from your own server; a token does not belong into an address.
import { ParleyClient } from "../dist/index.js";

const parameters = new URLSearchParams(location.search);
const client = new ParleyClient({
  url: parameters.get("url") ?? "ws://127.0.0.1:8000/ws/chat",
  token: parameters.get("token") ?? "",
});
const byId = (id) => document.getElementById(id);
const [messages, form, fields, text] = ["messages", "form", "fields", "text"].map(byId);
const [stop, state] = ["stop", "state"].map(byId);

client.on("state", () => (state.textContent = client.closedBecause?.message ?? client.state));
client.on("error", (error) => console.warn(error.code, error.message));

// The chat stays the same when the page is loaded again.
const clientChatId = (sessionStorage.chat ??= crypto.randomUUID());
const chat = await client.createChat({ clientChatId });

function show() {
  const { snapshot } = chat;
  // `textContent`: whatever a model or a person writes is shown as text.
  messages.replaceChildren(
    ...snapshot.messages.map((message) => {
      const item = document.createElement("li");
      item.dataset.role = message.role;
      item.dataset.status = message.status;
      item.textContent = message.text || "…";
      return item;
    }),
  );
  stop.hidden = snapshot.state !== "replying";
}

chat.subscribe(show);
show();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  chat.send(text.value);
  form.reset();
});
stop.addEventListener("click", () => chat.cancel());
fields.disabled = false;
text.focus();
