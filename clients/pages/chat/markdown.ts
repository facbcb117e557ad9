/**
 * Markdown as nodes of the page. The text is a stranger's: DOMPurify lets through the elements of the list only, no
 * style, no form, no frame, and the result never is a string of HTML again.
 */
import DOMPurify, { type Config } from "dompurify";
import { Parser, Renderer, type Token } from "marked";
import { webAddress } from "./decisions/segments.ts";
import type { Words } from "./words.ts";

const ELEMENTS =
  "p br hr h1 h2 h3 h4 h5 h6 strong b em i del s u sub sup mark kbd a ul ol li blockquote pre code table thead tbody tr th td img details summary";

const CLEAN: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: ELEMENTS.split(" "),
  ALLOWED_ATTR: ["href", "title", "src", "alt", "align", "start", "open", "class"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

class PageRenderer extends Renderer {
  // The headings of a reply come below that of the message, which comes below the title of the chat.
  override heading({ tokens, depth }: Parameters<Renderer["heading"]>[0]): string {
    const level = Math.min(depth + 2, 6);
    return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
  }

  // A box that nobody can check is a sign, not a field.
  override checkbox({ checked }: Parameters<Renderer["checkbox"]>[0]): string {
    return checked ? "☑ " : "☐ ";
  }
}

const OPTIONS = { gfm: true, renderer: new PageRenderer() };

/** Return the nodes of one block of Markdown. */
export function nodesOf(token: Token, words: Words): DocumentFragment {
  const nodes = DOMPurify.sanitize(Parser.parse([token], OPTIONS), CLEAN);
  nodes.querySelectorAll("[class]").forEach(keepLanguage);
  nodes.querySelectorAll("li").forEach(markTask);
  nodes.querySelectorAll("a").forEach(openOutside);
  nodes.querySelectorAll("img").forEach((image) => askBeforeLoading(image, words));
  nodes.querySelectorAll("pre").forEach((pre) => addHead(pre, words));
  nodes.querySelectorAll("table").forEach(letScroll);
  return nodes;
}

/** Remove every class but the language of a code block: a text must not look like a part of the page. */
function keepLanguage(element: Element): void {
  const language = element.localName === "code" ? [...element.classList].find((name) => name.startsWith("language-")) : undefined;
  element.removeAttribute("class");
  if (language !== undefined) {
    element.classList.add(language);
  }
}

/** An item with a box needs no bullet. */
function markTask(item: HTMLLIElement): void {
  item.classList.toggle("task", /^\s*[☑☐] /.test(item.textContent));
}

function openOutside(link: HTMLAnchorElement): void {
  const href = link.getAttribute("href") ?? undefined;
  const address = webAddress(href) ?? (href?.startsWith("mailto:") ? href : undefined);
  if (address === undefined) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
}

/**
 * Put a button in the place of an image of the web. To load it at once would tell its server, and a text that was
 * smuggled into the conversation could send what it knows in the address. Images inside the text load nothing.
 */
function askBeforeLoading(image: HTMLImageElement, words: Words): void {
  const source = image.getAttribute("src") ?? "";
  image.loading = "lazy";
  image.referrerPolicy = "no-referrer";
  if (/^data:image\/(png|jpeg|gif|webp);base64,/i.test(source)) {
    return;
  }
  const address = webAddress(source);
  if (address?.startsWith("https:") !== true) {
    image.replaceWith(image.alt);
    return;
  }
  image.removeAttribute("src");
  const button = make("button", "button image-button", words.showImage(new URL(address).host));
  button.type = "button";
  button.addEventListener("click", (event) => {
    event.preventDefault();
    image.src = address;
    button.replaceWith(image);
  });
  image.replaceWith(button);
}

function addHead(pre: HTMLPreElement, words: Words): void {
  const code = pre.querySelector("code");
  const language = code?.className.replace("language-", "") ?? "";
  const copy = make("button", "code-copy", words.copy);
  copy.type = "button";
  copy.setAttribute("aria-label", words.copyCode);
  copy.addEventListener("click", () => void copyFrom(copy, pre.textContent, words));
  const head = make("div", "code-head");
  head.append(make("span", "code-language", language || words.code), copy);
  const box = make("div", "code");
  pre.replaceWith(box);
  box.append(head, pre);
  // Somebody without a mouse scrolls it with the arrows.
  pre.tabIndex = 0;
}

async function copyFrom(button: HTMLButtonElement, text: string, words: Words): Promise<void> {
  await navigator.clipboard.writeText(text);
  button.textContent = words.copied;
  setTimeout(() => (button.textContent = words.copy), 2000);
}

function letScroll(table: HTMLTableElement): void {
  const box = make("div", "table");
  box.tabIndex = 0;
  table.replaceWith(box);
  box.append(table);
}

function make<Name extends keyof HTMLElementTagNameMap>(name: Name, className: string, text = ""): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Colour the code of a block. The highlighter is loaded when the first code comes. */
export async function colour(block: Element): Promise<void> {
  const codes = [...block.querySelectorAll<HTMLElement>("pre code[class]")];
  if (codes.length === 0) {
    return;
  }
  const { highlighted } = await import("./highlight.ts");
  for (const code of codes) {
    const html = highlighted(code.textContent, code.className.replace("language-", ""));
    if (html !== undefined) {
      code.replaceChildren(DOMPurify.sanitize(html, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true }));
    }
  }
}
