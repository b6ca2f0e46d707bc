import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";

import { ranked } from "../model/completion";

interface ComboboxProps {
  label: string;
  placeholder?: string;
  options: readonly string[];
  /** Options that come first while nothing is typed. */
  suggested?: readonly string[];
  onPick: (name: string) => void;
  onCancel?: () => void;
  /** What stands in it at first. */
  value?: string;
  autoFocus?: boolean;
  /** Whether it keeps what was picked, or is emptied for the next. */
  keeps?: boolean;
  id?: string;
}

/** A line to type a name in, completed from a list. Names that are not in the list are taken, too: the service knows more words. */
export function Combobox({
  label,
  placeholder,
  options,
  suggested = [],
  onPick,
  onCancel,
  value = "",
  autoFocus,
  keeps,
  id,
}: ComboboxProps) {
  const [text, setText] = useState(value);
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const found = isOpen ? ranked(text === value && keeps ? "" : text, options, suggested) : [];

  // Before anything else is typed: a later effect would erase the first letter of somebody who types fast.
  useLayoutEffect(() => setText(value), [value]);
  useLayoutEffect(() => {
    if (autoFocus) input.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    document.getElementById(`${list}-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const close = () => (setOpen(false), setActive(-1));
  const pick = (name: string) => {
    if (!name.trim()) return;
    close();
    setText(keeps ? name : "");
    onPick(name.trim());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((active + step + found.length + (active < 0 && step < 0 ? 1 : 0)) % Math.max(found.length, 1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      const exact = found.find((name) => name.toLowerCase() === text.trim().toLowerCase());
      pick(found[active] ?? exact ?? (text.trim() ? text : ""));
    } else if (event.key === "Tab" && active >= 0 && found[active]) {
      pick(found[active]!);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (isOpen && found.length && !onCancel) return close();
      setText(value);
      close();
      onCancel?.();
    }
  };

  return (
    <div class="combobox">
      <input
        ref={input}
        id={id}
        role="combobox"
        aria-label={label}
        aria-expanded={found.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={active >= 0 ? `${list}-${active}` : undefined}
        placeholder={placeholder}
        value={text}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setOpen(true);
          setActive(-1);
        }}
        onFocus={(event) => {
          if (keeps) event.currentTarget.select();
        }}
        onClick={() => setOpen(true)}
        onKeyDown={onKeyDown}
        onBlur={() => {
          close();
          // Half a word is no name: other words than the list has are taken by Enter alone.
          if (keeps && text !== value && options.includes(text.trim())) pick(text);
          else if (keeps) setText(value);
        }}
      />
      <ul role="listbox" id={list} aria-label={label} hidden={!found.length}>
        {found.map((name, number) => (
          <li
            key={name}
            id={`${list}-${number}`}
            role="option"
            aria-selected={number === active}
            // The input keeps the focus.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => pick(name)}
          >
            {name}
          </li>
        ))}
      </ul>
    </div>
  );
}
