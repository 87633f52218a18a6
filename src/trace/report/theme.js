// Light or dark: as the system says until somebody says otherwise.
const root = document.documentElement;
const wantsDark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("multiprocessing-theme"); } catch { /* a file may have no storage */ }
const themeListeners = [];
const applyTheme = () => {
  const dark = chosen ? chosen === "dark" : wantsDark.matches;
  root.dataset.theme = dark ? "dark" : "light";
  document.getElementById("theme-name").textContent = dark ? "Light" : "Dark";
  for (const listener of themeListeners) listener();
};
wantsDark.addEventListener("change", applyTheme);
document.getElementById("theme").addEventListener("click", () => {
  chosen = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("multiprocessing-theme", chosen); } catch { /* for this view only, then */ }
  applyTheme();
});
if (location.hash === "#dark" || location.hash === "#light") chosen = location.hash.slice(1);
applyTheme();

const color = name => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
// Told apart with any kind of colour vision, and neither is alarming: red is for what went wrong.
const hues = {
  light: ["#4a86b4", "#5ba08a", "#a58bbf", "#c39a4f", "#7b93a5", "#8aa657", "#c47f9c", "#5fa5b8"],
  dark: ["#6fa9d4", "#6db79d", "#b49dd0", "#cfaa62", "#8ea6b8", "#9cb86a", "#d092ad", "#72b6c9"],
};
const hue = index => hues[root.dataset.theme][index % hues.light.length];
