import type { ComponentChildren } from "preact";

import { Icon, type IconName } from "./icons";

interface ButtonProps {
  icon?: IconName;
  /** The name; of a button without children it is its tooltip, too. */
  label: string;
  children?: ComponentChildren;
  onClick: (event: MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
  kind?: "plain" | "primary" | "danger";
  shortcut?: string;
}

export function Button({ icon, label, children, onClick, disabled, pressed, kind = "plain", shortcut }: ButtonProps) {
  return (
    <button
      type="button"
      class={`button ${kind} ${children ? "" : "only-icon"}`}
      {...(children ? {} : { "aria-label": label })}
      title={shortcut ? `${label} (${shortcut})` : label}
      aria-pressed={pressed}
      // A disabled button stays in the tab order, so that the focus is not lost when it becomes disabled.
      aria-disabled={disabled || undefined}
      onClick={(event) => disabled || onClick(event)}
    >
      {icon && <Icon name={icon} />}
      {children && <span>{children}</span>}
    </button>
  );
}
