// The progress of fetching a model. Without this script, the page says to load it again.
"use strict";
(() => {
  const EVERY_MS = 1000;
  const fetching = document.getElementById("fetch");
  if (fetching?.dataset.running !== "yes") {
    return;
  }

  async function look() {
    try {
      const state = await (await fetch("/models/state.json", { redirect: "error" })).json();
      if (!state.isRunning) {
        location.reload();
        return;
      }
      document.getElementById("progress").textContent = state.progress;
      document.getElementById("bar").value = state.done;
    } catch {
      document.getElementById("progress").textContent = "no answer from the server";
    }
    setTimeout(look, EVERY_MS);
  }

  setTimeout(look, EVERY_MS);
})();
