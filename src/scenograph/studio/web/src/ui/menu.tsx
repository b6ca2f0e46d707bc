import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

import { Icon, type IconName } from "./icons";

export interface MenuItem {
  readonly label: string;
  readonly hint?: string;
  readonly icon?: ComponentChildren;
  readonly disabled?: boolean;
  readonly run: () => void;
}

/** A button that opens a list of commands. */
export function Menu({
  label,
  icon,
  children,
  items,
}: {
  label: string;
  icon?: IconName;
  children?: ComponentChildren;
  items: readonly MenuItem[];
}) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const id = useId();

  useEffect(() => {
    if (!isOpen) return;
    root.current?.querySelector<HTMLElement>('[role="menuitem"]')?.focus();
    const outside = (event: Event) => root.current?.contains(event.target as Node) || setOpen(false);
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [isOpen]);

  const close = () => {
    setOpen(false);
    root.current?.querySelector("button")?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!isOpen) return;
    const entries = [...root.current!.querySelectorAll<HTMLElement>('[role="menuitem"]')];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") (event.stopPropagation(), close());
    else if (event.key === "Tab") setOpen(false);
    else if (step) (event.preventDefault(), entries[(at + step + entries.length) % entries.length]?.focus());
    else if (event.key === "Home" || event.key === "End")
      (event.preventDefault(), entries.at(event.key === "Home" ? 0 : -1)?.focus());
  };

  return (
    <div class="menu" ref={root} onKeyDown={onKeyDown}>
      <button
        type="button"
        class={`button plain ${children ? "" : "only-icon"}`}
        aria-label={children ? undefined : label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={() => setOpen(!isOpen)}
      >
        {icon && <Icon name={icon} />}
        {children && <span>{children}</span>}
      </button>
      <div role="menu" id={id} aria-label={label} hidden={!isOpen}>
        {isOpen &&
          items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              aria-disabled={item.disabled || undefined}
              onClick={() => {
                if (item.disabled) return;
                close();
                item.run();
              }}
            >
              {item.icon}
              <span>{item.label}</span>
              {item.hint && <small>{item.hint}</small>}
            </button>
          ))}
      </div>
    </div>
  );
}
