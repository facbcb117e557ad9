/** Small parts that both pages share: buttons with an icon, dialogs, menus. */
import type { ButtonHTMLAttributes, ComponentChildren, RefObject, TargetedKeyboardEvent } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icons.tsx";

type ButtonProps = { icon: IconName; label: string } & Omit<ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "label">;

/** Button that shows only an icon. `label` is its name, for a screen reader and as a tip. */
export function IconButton({ icon, label, class: extra, ...rest }: ButtonProps & { ref?: RefObject<HTMLButtonElement | null> }) {
  return (
    <button type="button" class={`icon-button ${extra ?? ""}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

/** Modal dialog. The browser keeps the focus inside, closes it on Escape, and gives the focus back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={element}
      class="dialog"
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div class="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface PopoverProps {
  id: string;
  /** The button that opens it: it stands below or above this one. */
  anchor: RefObject<HTMLElement | null>;
  class?: string;
  role?: "menu" | "dialog";
  label: string;
  onToggle?: (open: boolean) => void;
  children: ComponentChildren;
}

/** Return where a box of this size stands beside its button, so that all of it is in the window. */
export function place(
  button: { left: number; right: number; top: number; bottom: number },
  box: { width: number; height: number },
  window: { width: number; height: number },
  gap = 6,
): { left: number; top: number } {
  const below = button.bottom + gap;
  const fitsBelow = below + box.height <= window.height - gap;
  const top = fitsBelow ? below : Math.max(gap, button.top - gap - box.height);
  const fromLeft = button.left + box.width <= window.width - gap ? button.left : button.right - box.width;
  return { left: Math.max(gap, Math.min(fromLeft, window.width - gap - box.width)), top };
}

/** Box in the top layer, which a click outside or Escape closes. Its content is in the document only while it is open. */
export function Popover({ id, anchor, label, role = "dialog", class: extra = "", onToggle, children }: PopoverProps) {
  const element = useRef<HTMLDivElement>(null);
  const [isOpen, setOpen] = useState(false);
  useLayoutEffect(() => {
    const box = element.current!;
    const toggles = (event: Event) => (event as ToggleEvent).newState === "open" && setOpen(true);
    const toggled = (event: Event) => {
      const open = (event as ToggleEvent).newState === "open";
      if (open) {
        const { left, top } = place(
          anchor.current!.getBoundingClientRect(),
          box.getBoundingClientRect(),
          { width: document.documentElement.clientWidth, height: window.innerHeight },
        );
        box.style.left = `${left}px`;
        box.style.top = `${top}px`;
        box.dataset["placed"] = "";
        box.querySelector<HTMLElement>("[autofocus], button, input, a[href]")?.focus();
      }
      if (!open) {
        // Not before: the browser gives the focus back only if it is still inside.
        setOpen(false);
        delete box.dataset["placed"];
      }
      onToggle?.(open);
    };
    box.addEventListener("beforetoggle", toggles);
    box.addEventListener("toggle", toggled);
    return () => {
      box.removeEventListener("beforetoggle", toggles);
      box.removeEventListener("toggle", toggled);
    };
  }, [onToggle]);
  return (
    <div ref={element} id={id} popover="auto" class={`popover ${extra}`} role={role} aria-label={label}>
      {isOpen && children}
    </div>
  );
}

export interface MenuItem {
  icon: IconName;
  label: string;
  bad?: boolean;
  run: () => void;
}

/** Button that opens a list of actions. Arrows move in it, as in the menus of a desktop. */
export function Menu({ label, items, icon = "more", class: extra }: { label: string; items: MenuItem[]; icon?: IconName; class?: string }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const moved = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const all = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      all[(next + all.length) % all.length]?.focus();
    }
  };
  return (
    <>
      <IconButton icon={icon} label={label} ref={button} class={extra ?? ""} popovertarget={id} aria-haspopup="menu" />
      <Popover id={id} anchor={button} label={label} role="menu" class="menu">
        <div role="presentation" onKeyDown={moved}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              class={item.bad ? "menu-item bad" : "menu-item"}
              popovertarget={id}
              popovertargetaction="hide"
              onClick={item.run}
            >
              <Icon name={item.icon} />
              {item.label}
            </button>
          ))}
        </div>
      </Popover>
    </>
  );
}
