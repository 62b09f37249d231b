// The chart beside a slider follows it at once; what verdicts say follows when it rests.
"use strict";
(() => {
  const REST_MS = 200;
  const WIDTH = 400; // of a chart, for scores from 0 to 1
  const form = document.getElementById("thresholds");
  if (!form) {
    return;
  }
  const goal = document.getElementById("goal");
  let timer = 0;
  let asked = 0;

  function placeLines() {
    for (const part of form.querySelectorAll("[data-overview]")) {
      const line = part.querySelector(".threshold");
      const at = (WIDTH * document.getElementById(`t${part.dataset.overview}`).value).toFixed(1);
      line.setAttribute("x1", at);
      line.setAttribute("x2", at);
    }
  }

  function showScripted() {
    for (const button of form.querySelectorAll("[data-use]")) {
      button.hidden = false;
    }
  }

  async function update() {
    const number = ++asked;
    const query = new URLSearchParams(new FormData(form)).toString();
    const response = await fetch(`${form.dataset.overviews}?${query}`).catch(() => null);
    if (!response?.ok || number !== asked) {
      return; // the page says what is wrong, has newer settings, or is being left
    }
    const { overviews } = await response.json();
    for (const part of form.querySelectorAll("[data-overview]")) {
      const focused = document.activeElement?.dataset.for;
      part.innerHTML = overviews[part.dataset.overview];
      if (focused === `t${part.dataset.overview}`) {
        part.querySelector("[data-use]")?.focus();
      }
    }
    placeLines();
    showScripted();
  }

  form.addEventListener("input", () => {
    placeLines();
    clearTimeout(timer);
    timer = setTimeout(update, REST_MS);
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-use]");
    if (button) {
      const number = document.getElementById(button.dataset.for);
      number.value = button.dataset.use;
      number.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  goal.hidden = false;
  showScripted();
})();
