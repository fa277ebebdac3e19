// Light or dark: the system's, or what the user chose (kept in this browser).

import { cell, useCell } from "./cell.js";
import { html } from "./html.js";
import { ofBrowser } from "./storage.js";

const STORED = "floe.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored() {
  const value = ofBrowser.get(STORED);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = cell({ choice: stored(), isDark: false });

function apply() {
  const { choice } = theme.get();
  const isDark = choice === "dark" || (choice === "system" && system.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  theme.set({ choice, isDark });
}

system.addEventListener("change", apply);
apply();

export function ThemeSwitch() {
  const { choice } = useCell(theme);
  const choose = (event) => {
    const value = event.currentTarget.value;
    if (value === "system") ofBrowser.remove(STORED);
    else ofBrowser.set(STORED, value);
    theme.set({ choice: value, isDark: false });
    apply();
  };
  return html`<label class="top-choice"><span>Theme</span>
    <select value=${choice} onChange=${choose}>
      <option value="system" selected=${choice === "system"}>System</option>
      <option value="light" selected=${choice === "light"}>Light</option>
      <option value="dark" selected=${choice === "dark"}>Dark</option>
    </select>
  </label>`;
}
