// Which theme the page has: that of the system, light, or dark. Loaded before the page is painted.
"use strict";
(() => {
  const KEY = "local-studio-theme";
  const THEMES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function kept() {
    // A browser that keeps nothing throws here; the theme then lasts as long as the page.
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Nothing to do: the page has its theme all the same.
    }
  }

  let theme = "auto";

  function show(wanted) {
    theme = THEMES.includes(wanted) ? wanted : "auto";
    if (theme === "auto") {
      delete root.dataset.theme;
    } else {
      root.dataset.theme = theme;
    }
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = `Theme: ${theme}`;
    }
  }

  show(kept());
  addEventListener("storage", (event) => {
    if (event.key === KEY) {
      show(event.newValue);
    }
  });
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      show(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
      keep(theme);
    });
    show(theme);
  });
})();
