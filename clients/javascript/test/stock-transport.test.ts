/**
 * The contract of the AI SDK's own WebSocketChatTransport, as far as decision 18 (docs/decisions) rests on it. If one of
 * these tests fails after an update of `ai`, the server may be able to speak that contract: read the decision again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type UIMessageChunk, WebSocketChatTransport } from "ai";

const PROTOCOL_ERROR = 1011;

/** A socket that is open at once, whose server is the test. */
class FakeSocket {
  static newest: FakeSocket;

  readyState = 0;
  readonly bufferedAmount = 0;
  readonly sent: { requestId: string; type: string; messages: unknown[] }[] = [];
  closedWith?: number;
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;

  constructor(
    readonly url: string | URL,
    readonly protocols?: string | string[],
  ) {
    FakeSocket.newest = this;
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.({});
    });
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code: number): void {
    this.closedWith = code;
    this.readyState = 3;
  }

  receive(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

/** Send a message, answer it with the frames, and return the text that came, and how the stream and the socket ended. */
async function answeredWith(frames: (requestId: string) => object[]) {
  const transport = new WebSocketChatTransport({
    url: "ws://localhost/live?token=t",
    webSocket: FakeSocket,
  });
  const messages = ["Is there tea?", "Is there milk?"].map((text, number) => ({
    id: `u${number}`,
    role: "user" as const,
    parts: [{ type: "text" as const, text }],
  }));
  const trigger = "submit-message" as const;
  const stream = await transport.sendMessages({
    chatId: "c",
    messages,
    trigger,
    messageId: undefined,
    abortSignal: undefined,
  });
  const socket = FakeSocket.newest;
  const asked = socket.sent[0];
  assert.ok(asked);
  for (const frame of frames(asked.requestId)) {
    socket.receive(frame);
  }
  // An unfinished stream is ended by a frame after all others: frames are handled one after the other.
  socket.receive({ type: "end", requestId: asked.requestId });
  const reader = stream.getReader();
  let text = "";
  let failure = "";
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      text += step.value.type === "text-delta" ? step.value.delta : "";
    }
  } catch (error) {
    failure = (error as Error).message;
  }
  return { text, failure, socket, asked };
}

function chunks(requestId: string, ...numbered: [number, string][]): object[] {
  const chunk = (sequence: number, chunk: UIMessageChunk) => ({ type: "chunk", requestId, sequence, chunk });
  return [
    chunk(0, { type: "start", messageId: "m1" }),
    chunk(1, { type: "text-start", id: "t" }),
    ...numbered.map(([sequence, delta]) => chunk(sequence, { type: "text-delta", id: "t", delta })),
  ];
}

test("it offers no subprotocol, and sends all messages of the chat", async () => {
  const { socket, asked, text } = await answeredWith((id) => chunks(id, [2, "Yes"], [3, ", there is."]));
  assert.equal(socket.protocols, undefined);
  assert.equal(asked.messages.length, 2);
  assert.equal(text, "Yes, there is.");
});

for (const [name, frame] of Object.entries({
  "a greeting": { type: "connected", data: {} },
  "an error of API Gateway": { message: "Internal server error", connectionId: "c=", requestId: "g=" },
})) {
  test(`${name} ends the connection and the replies on it`, async () => {
    const { socket, failure } = await answeredWith((id) => [...chunks(id, [2, "Yes"]), frame]);
    assert.equal(socket.closedWith, PROTOCOL_ERROR);
    assert.match(failure, /Invalid WebSocket chat response frame/);
  });
}

test("a number that is missing ends the connection", async () => {
  const { socket, failure } = await answeredWith((id) => chunks(id, [2, "Yes"], [4, " is."]));
  assert.equal(socket.closedWith, PROTOCOL_ERROR);
  assert.match(failure, /Out-of-order/);
});

test("a frame that is sent again with more text loses that text, and nobody is told", async () => {
  const { socket, text, failure } = await answeredWith((id) => chunks(id, [2, "Yes"], [2, "Yes, there"], [3, " is."]));
  assert.equal(text, "Yes is.");
  assert.equal(failure, "");
  assert.equal(socket.closedWith, undefined);
});

test("an end without the last piece is an end", async () => {
  const { text, failure } = await answeredWith((id) => chunks(id, [2, "Yes"]));
  assert.equal(text, "Yes");
  assert.equal(failure, "");
});
