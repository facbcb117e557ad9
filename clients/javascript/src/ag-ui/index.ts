/** Parley as an agent of AG-UI, for CopilotKit and others. */
export { ParleyAgent, type ParleyAgentConfig } from "./agent.ts";
export { toAgentMessages } from "./messages.ts";
