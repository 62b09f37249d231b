// A running job's page: its state and its log as they change. Without this script the page loads itself again.
"use strict";
(() => {
  const LINES = 1000;
  const EVERY_MS = 1000;
  const job = document.getElementById("job");
  const log = document.getElementById("log");
  const aloud = document.getElementById("aloud");
  let offset = Number(job.dataset.offset);

  log.scrollTop = log.scrollHeight;
  if (job.dataset.running !== "yes") {
    return;
  }
  for (const element of document.querySelectorAll(".only-script")) {
    element.hidden = false;
  }
  aloud.addEventListener("change", () => {
    log.setAttribute("aria-live", aloud.checked ? "polite" : "off");
  });

  function say(id, text) {
    const element = document.getElementById(id);
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  function add(text) {
    if (!text) {
      return;
    }
    // Whoever has scrolled up is reading there.
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
    // Appended as text of its own, so that a screen reader says what is new and not all.
    log.append(text);
    let lines = log.textContent.split("\n").length - 1;
    while (lines > LINES && log.childNodes.length > 1) {
      lines -= log.firstChild.textContent.split("\n").length - 1;
      log.firstChild.remove();
    }
    if (isAtEnd) {
      log.scrollTop = log.scrollHeight;
    }
  }

  async function look() {
    let answer;
    try {
      const response = await fetch(`/jobs/${job.dataset.job}/state.json?offset=${offset}`, { redirect: "error" });
      if (!response.ok) {
        throw new Error(String(response.status));
      }
      answer = await response.json();
    } catch {
      say("state", "no answer from the server");
      setTimeout(look, 3 * EVERY_MS);
      return;
    }
    offset = answer.offset;
    add(answer.text);
    if (!answer.isRunning) {
      // What can be done with a job that is over is on its page.
      location.reload();
      return;
    }
    say("state", answer.state);
    say("duration", answer.duration);
    say("progress", answer.progress);
    document.getElementById("bar").value = answer.share ?? 0;
    setTimeout(look, EVERY_MS);
  }

  setTimeout(look, EVERY_MS);
})();
