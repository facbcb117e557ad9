import type { Message } from "parley-client";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import { IconButton } from "../../shared/ui.tsx";
import { useApp } from "../state/app.ts";
import { words } from "../words.ts";
import { MessageView } from "./message.tsx";

const NEAR = 24;
const FAR = 240;
/** The next page of older messages is fetched before the reader is at its place. */
const AHEAD = 800;

const keyOf = (message: Message) => message.clientMessageId ?? message.id;

/** The messages of the chat. Only those near the window are in the document. */
export function Messages() {
  const { conversation } = useApp();
  const messages = conversation.messages.value;
  const hasMore = conversation.snapshot.value?.hasMore ?? false;
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const { isAway, stick, onScroll } = useStickToEnd(scroller, messages);
  const isOlder = usePrepended(messages);

  const loading = useRef(false);
  const loadOlder = async () => {
    if (!loading.current) {
      loading.current = true;
      await conversation.loadOlder();
      loading.current = false;
    }
  };
  const loadIfNear = (element: HTMLElement) => {
    if (hasMore && element.scrollTop < AHEAD) {
      void loadOlder();
    }
  };
  useEffect(() => loadIfNear(scroller.current!), [messages, hasMore]);

  const lastReply = messages.findLastIndex((message) => message.role === "assistant");
  return (
    <div class="scroll-frame">
      <div
        ref={scroller}
        class="scroll"
        role="region"
        aria-label={words.value.conversation}
        tabIndex={0}
        onKeyDown={(event) => {
          // The browser scrolls to where it guesses the ends to be: most messages have not been measured.
          const goTo = { Home: () => list.current!.scrollToIndex(0), End: stick }[event.key];
          if (goTo !== undefined && event.target === event.currentTarget) {
            event.preventDefault();
            goTo();
          }
        }}
        onScroll={(event) => {
          // The event may come when the list has left the page already: only it still knows its element then.
          onScroll(event.currentTarget);
          loadIfNear(event.currentTarget);
        }}
      >
        {hasMore && (
          <div class="older">
            <button type="button" class="button" onClick={() => void loadOlder()}>
              {words.value.loadOlder}
            </button>
          </div>
        )}
        <div class="column">
          <Virtualizer ref={list} data={messages} scrollRef={scroller} shift={isOlder} bufferSize={600}>
            {(message, at) => (
              <MessageView
                key={keyOf(message)}
                message={message}
                isLast={at === lastReply}
                place={at + 1}
                count={hasMore ? -1 : messages.length}
              />
            )}
          </Virtualizer>
        </div>
      </div>
      {isAway && <IconButton icon="bottom" class="to-newest" label={words.value.newest} onClick={stick} />}
    </div>
  );
}

/** Keep the newest message in view while the reader is at the end, and only then. */
function useStickToEnd(scroller: { current: HTMLDivElement | null }, messages: readonly Message[]) {
  const sticks = useRef(true);
  const top = useRef(0);
  const [isAway, setAway] = useState(false);
  const stick = () => {
    sticks.current = true;
    setAway(false);
    scroller.current!.scrollTop = scroller.current!.scrollHeight;
  };
  const onScroll = (element: HTMLElement) => {
    const below = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (below <= NEAR) {
      sticks.current = true;
    } else if (element.scrollTop < top.current) {
      sticks.current = false;
    }
    top.current = element.scrollTop;
    setAway(!sticks.current && below > FAR);
  };
  useLayoutEffect(() => {
    const element = scroller.current!;
    const follow = () => {
      if (sticks.current) {
        element.scrollTop = element.scrollHeight;
      }
    };
    const observer = new ResizeObserver(follow);
    observer.observe(element);
    observer.observe(element.querySelector(".column")!);
    follow();
    return () => observer.disconnect();
  }, []);
  // Who sends a message wants to see it, wherever the list was.
  const sent = messages.findLast((message) => message.role === "user" && message.status === "sending");
  useLayoutEffect(() => {
    if (sent !== undefined) {
      stick();
    }
  }, [sent && keyOf(sent)]);
  return { isAway, stick, onScroll };
}

/** Return whether messages have come before the first one since the list was drawn last. */
function usePrepended(messages: readonly Message[]): boolean {
  const first = useRef<string | undefined>(undefined);
  const now = messages[0] && keyOf(messages[0]);
  const before = first.current;
  const isOlder = before !== undefined && now !== before && messages.some((message) => keyOf(message) === before);
  useLayoutEffect(() => {
    first.current = now;
  });
  return isOlder;
}
