/** Light or dark: as the system has it, unless the user chose. */

import { computed, effect, signal } from "@preact/signals";

type Theme = "light" | "dark";
const KEY = "scenograph-theme";

const dark = matchMedia("(prefers-color-scheme: dark)");
const system = signal<Theme>(dark.matches ? "dark" : "light");
const chosen = signal<Theme | undefined>(read());
export const theme = computed<Theme>(() => chosen.value ?? system.value);

function read(): Theme | undefined {
  try {
    const found = localStorage.getItem(KEY);
    return found === "light" || found === "dark" ? found : undefined;
  } catch {
    return undefined;
  }
}

export function toggleTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, chosen.value);
  } catch {
    // It holds until the page is closed.
  }
}

export function followTheme(): void {
  dark.addEventListener("change", () => (system.value = dark.matches ? "dark" : "light"));
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}
