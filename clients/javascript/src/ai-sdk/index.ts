/** Parley for the AI SDK: `useChat({ transport: new ParleyChatTransport({ client }) })`. */
export {
  type HistoryOptions,
  lastAttempt,
  type ParleyDataParts,
  type ParleyMetadata,
  type ParleyUIMessage,
  toUIMessages,
} from "./messages.ts";
export { ParleyChatTransport, type ParleyChatTransportOptions } from "./transport.ts";
