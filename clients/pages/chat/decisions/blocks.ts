/**
 * Blocks of a Markdown text: paragraphs, lists, code, tables. The page draws each block by itself, so that a reply
 * that grows is drawn anew only at its end.
 */
import { Lexer, type MarkedOptions, type Token, type TokensList } from "marked";

// A line break is shown, as people and models mean it in a chat.
const OPTIONS: MarkedOptions = { gfm: true, breaks: true };

export interface Block {
  /** The Markdown of the block. */
  readonly raw: string;
  readonly token: Token;
}

export interface Blocks {
  readonly text: string;
  readonly blocks: readonly Block[];
  /** The targets of links such as `[text][name]`, by name. */
  readonly links: TokensList["links"];
}

export const NO_BLOCKS: Blocks = { text: "", blocks: [], links: {} };

function lex(text: string, links: TokensList["links"]): TokensList {
  const lexer = new Lexer(OPTIONS);
  lexer.tokens.links = { ...links };
  return lexer.lex(text);
}

function blocksOf(tokens: TokensList): Block[] {
  const shown: Block[] = [];
  for (const token of tokens) {
    const last = shown.at(-1);
    if (token.type === "space" && last !== undefined) {
      // Blank lines belong to the block before, so that all blocks together are the text.
      shown[shown.length - 1] = { raw: last.raw + token.raw, token: last.token };
    } else {
      shown.push({ raw: token.raw, token });
    }
  }
  return shown;
}

/**
 * Return the blocks of a text, with those of an earlier text that it begins with.
 *
 * The last two blocks are read again: what follows may belong to the last one, or join the two ("2" after a list
 * becomes its next item with the next character ".").
 */
export function blocks(text: string, before: Blocks = NO_BLOCKS): Blocks {
  if (text === before.text) {
    return before;
  }
  const keep = text.startsWith(before.text) ? before.blocks.slice(0, -2) : [];
  const kept = keep.reduce((length, block) => length + block.raw.length, 0);
  // marked normalises line ends and tabs, so the raw texts may be shorter than the text: then nothing is kept.
  const exact = before.text.startsWith(keep.map((block) => block.raw).join(""));
  const links = exact && keep.length > 0 ? before.links : {};
  const tokens = lex(exact ? text.slice(kept) : text, links);
  return { text, blocks: [...(exact ? keep : []), ...blocksOf(tokens)], links: tokens.links };
}
