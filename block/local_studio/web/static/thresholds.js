// While a slider moves, the page shows what changes: one request at a time, and always for the latest settings.
"use strict";
(() => {
  const form = document.getElementById("thresholds");
  if (!form) {
    return;
  }
  const changes = document.getElementById("changes");
  const summary = document.getElementById("summary");
  const problem = document.getElementById("problem");
  const asked = document.querySelector('#proposing input[name="query"]');
  const all = document.getElementById("all");
  const merge = document.getElementById("merge");
  const sliders = [...form.querySelectorAll("input[data-of]")];
  let isBusy = false;
  let isStale = false;
  let audio = null;

  const showScripted = (part) => {
    for (const one of part.querySelectorAll(".only-script")) {
      one.hidden = false;
    }
  };

  function show(answer) {
    for (const [at, row] of answer.rows.entries()) {
      for (const cell of form.querySelectorAll(`[data-row="${at}"] [data-cell]`)) {
        const name = cell.dataset.cell;
        cell.textContent = name === "seconds" ? row.after[name].toFixed(1) : row.after[name];
        cell.classList.toggle("changed", row.after[name] !== row.before[name]);
      }
    }
    summary.textContent = answer.summary;
    changes.innerHTML = answer.changes;
    showScripted(changes);
  }

  async function ask(query) {
    const response = await fetch(`${form.dataset.numbers}?${query}`).catch(() => {
      throw new Error("The local Studio does not answer.");
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      throw new Error(answer.error || `The local Studio answered ${response.status}.`);
    }
    return answer;
  }

  async function update() {
    isStale = true;
    if (isBusy) {
      return;
    }
    isBusy = true;
    form.setAttribute("aria-busy", "true");
    while (isStale) {
      isStale = false;
      const query = new URLSearchParams(new FormData(form)).toString();
      try {
        show(await ask(query));
        problem.hidden = true;
        asked.value = query;
        history.replaceState(null, "", `?${query}`);
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
      }
    }
    isBusy = false;
    form.setAttribute("aria-busy", "false");
  }

  const allowLengths = () => {
    for (const name of ["min-segment-ms", "min-event-ms", "min-gap-ms"]) {
      document.getElementById(name).disabled = !merge.checked;
    }
  };

  form.addEventListener("input", (event) => {
    const moved = event.target;
    if (moved.id === "windows") {
      form.submit(); // other recordings may have these scores
      return;
    }
    if (moved === all) {
      for (const slider of sliders) {
        slider.value = all.value;
        document.getElementById(slider.dataset.of).value = all.value;
      }
    } else if (moved.dataset.of) {
      document.getElementById(moved.dataset.of).value = moved.value;
    } else {
      for (const slider of sliders.filter((one) => one.dataset.of === moved.id)) {
        slider.value = moved.value;
      }
    }
    allowLengths();
    update();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    update();
  });
  changes.addEventListener("click", (event) => {
    const button = event.target.closest("button.play");
    if (!button) {
      return;
    }
    audio?.pause();
    audio = new Audio(button.dataset.clip);
    audio.play().catch((error) => {
      problem.textContent = `This can't be played: ${error.message}`;
      problem.hidden = false;
    });
  });

  showScripted(document);
  for (const button of form.querySelectorAll(".no-script")) {
    button.hidden = true;
  }
  allowLengths();
})();
