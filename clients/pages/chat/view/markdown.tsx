import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { blocks, NO_BLOCKS, type Block } from "../decisions/blocks.ts";
import { colour, nodesOf } from "../markdown.ts";
import { words, type Words } from "../words.ts";

/** Markdown that may grow: only blocks that have changed are made anew. */
export const Markdown = memo(function Markdown({ text, growing = false }: { text: string; growing?: boolean }) {
  const last = useRef(NO_BLOCKS);
  const now = blocks(text, last.current);
  last.current = now;
  return (
    <div class="markdown">
      {now.blocks.map((block, at) => (
        <BlockView key={at} block={block} open={growing && at === now.blocks.length - 1} words={words.value} />
      ))}
    </div>
  );
});

interface BlockProps {
  block: Block;
  /** More of it may come, so it is not coloured yet. */
  open: boolean;
  words: Words;
}

const BlockView = memo(
  function BlockView({ block, open, words }: BlockProps) {
    const element = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => {
      element.current!.replaceChildren(nodesOf(block.token, words));
    }, [block.raw, words]);
    useEffect(() => {
      if (!open) {
        void colour(element.current!);
      }
    }, [block.raw, words, open]);
    return <div ref={element} />;
  },
  (before, now) => before.block.raw === now.block.raw && before.open === now.open && before.words === now.words,
);
