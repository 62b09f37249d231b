// A verdict keeps the place on the page: forms with `data-keep-place` come back to where they were scrolled to.
"use strict";
(() => {
  const KEY = "local-studio-place";
  document.addEventListener("submit", (event) => {
    if ("keepPlace" in event.target.dataset) {
      try {
        sessionStorage.setItem(KEY, JSON.stringify({ path: location.pathname, y: scrollY }));
      } catch {
        // The page then begins at its top, or at the fragment of its address.
      }
    }
  });
  addEventListener("load", () => {
    let kept = null;
    try {
      kept = JSON.parse(sessionStorage.getItem(KEY));
      sessionStorage.removeItem(KEY);
    } catch {
      // Nothing was kept.
    }
    if (kept?.path === location.pathname) {
      scrollTo(0, kept.y);
    }
  });
})();
