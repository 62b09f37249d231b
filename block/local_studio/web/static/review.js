// Review segments by single keys: a verdict is shown and the next segment plays at once, while the verdict is stored.
import { ClipPlayer } from "./clips.js";
import { clock } from "./view.js";

const PACE = 20; // verdicts that the time left is measured from
const SLOWEST_S = 60; // a longer pause is not a verdict's time
const by = (id) => document.getElementById(id);
const section = by("review");
const ofSegment = document.querySelectorAll("[data-of=segment]");
const TOKEN = 'meta[name="csrf-token"]';
let token = document.querySelector(TOKEN).content;
const player = new ClipPlayer({ picture: by("picture"), before: by("before"), after: by("after"), cursor: by("cursor") });

let data;
let list; // what was decided, then what waits
let at = 0;
let given = []; // places in `list`, in the order of their verdicts
let paces = [];
let shownAt = 0;
let sending = Promise.resolve(); // verdicts are stored one after the other

function read(dataset) {
  data = JSON.parse(dataset.review);
  list = [...data.decided, ...data.pending];
  given = [];
  at = data.decided.length;
}

function sampleOf(segment) {
  return data.samples[segment.sample];
}

function say(text) {
  by("said").textContent = text;
}

function fail(text) {
  by("trouble").textContent = text;
  by("trouble").hidden = !text;
}

function describeWhy({ score, runnersUp, windows, agreeing }) {
  const parts = score == null ? [] : [`score ${score.toFixed(2)}`];
  if (runnersUp?.length) {
    parts.push(`then ${runnersUp.slice(0, 3).map((one) => `${one.label} ${one.score.toFixed(2)}`).join(", ")}`);
  }
  if (windows) {
    parts.push(`${agreeing} of ${windows} windows agreed`);
  }
  return parts.join(" · ");
}

function describeLeft(count) {
  const each = paces.length ? paces.reduce((sum, one) => sum + one, 0) / paces.length : data.secondsEach;
  const minutes = Math.round((count * each) / 60);
  return minutes < 1 ? "less than a minute" : `about ${minutes} minute${minutes === 1 ? "" : "s"}`;
}

function showProgress() {
  const earlier = data.done - data.decided.length; // decided before what this page has
  const done = earlier + list.filter((one) => one.verdict !== undefined).length;
  by("place").textContent = `${Math.min(earlier + at + 1, data.total)} of ${data.total}`;
  by("left").textContent = done < data.total ? `, ${describeLeft(data.total - done)} left` : "";
  by("bar").value = done;
}

// The label of a segment that is rejected: the one that the job found there, or the job's label for everything else.
function otherOf(segment) {
  return segment?.before || data.other;
}

function show({ isSilent = false } = {}) {
  const segment = list[at];
  const isOver = segment === undefined;
  section.hidden = isOver;
  by("finished").hidden = !isOver;
  for (const element of ofSegment) {
    element.hidden = isOver; // nothing is left that they could act on
  }
  showProgress();
  closeBorders();
  if (isOver) {
    player.stop();
    say("Nothing is left to review here.");
    return;
  }
  const { name, rate, byHand } = sampleOf(segment);
  const digits = segment.end - segment.start < 10 * rate ? 2 : 1;
  const span = `${clock(segment.start / rate, digits)}–${clock(segment.end / rate, digits)}`;
  const chip = by("label-now");
  chip.className = `chip c${data.colors[segment.label] ?? 0}`;
  chip.firstElementChild.textContent = segment.label;
  const verdict = by("verdict-now");
  verdict.hidden = segment.verdict === undefined;
  verdict.textContent = segment.verdict === segment.label ? "accepted" : `now ${segment.verdict}`;
  by("span").textContent = span;
  by("recording").firstElementChild.textContent = name;
  by("similar").href = `/similar?sample=${segment.sample}&start=${segment.start}&end=${segment.end}`;
  by("recording").href = `/recordings/${segment.sample}${segment.job ? `?job=${segment.job}` : ""}`;
  by("rejected").textContent = otherOf(segment);
  by("why").textContent = describeWhy(segment.why) + (byHand ? " · this recording has labels by hand" : "");
  say(`${segment.label}, ${span} of ${name}`);
  player.show(segment, sampleOf(segment), isSilent);
  for (const next of list.slice(at + 1, at + 4)) {
    player.prepare(next, sampleOf(next));
  }
  shownAt = performance.now();
}

async function load() {
  return new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
}

async function post(path, body, isRetry = false) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("the local Studio does not answer. Start it again, then decide again");
  }
  if (response.status === 403 && !isRetry) {
    // The server was started again meanwhile, and has another token.
    token = (await load()).querySelector(TOKEN).content;
    return post(path, body, true);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(answer.error || `the local Studio answered ${response.status}`);
  }
  return answer;
}

/** Load what is left to review again: borders have moved, or the list is at its end. */
async function refresh() {
  read((await load()).getElementById("review").dataset);
  show();
}

function decide(kind, label, moved = {}) {
  const place = at;
  const segment = list[place];
  if (segment === undefined) {
    return;
  }
  const was = segment.verdict ?? segment.label;
  const wasGiven = given.length;
  if (segment.verdict === undefined) {
    paces = [...paces, Math.min(SLOWEST_S, (performance.now() - shownAt) / 1000)].slice(-PACE);
  }
  const earlier = segment.verdict;
  segment.verdict = label;
  given.push(place);
  fail("");
  at = nextPending(place);
  const isBatchOver = at >= list.length && data.total > data.done + list.length - data.decided.length;
  show();
  const { job, sample, start, end } = segment;
  const body = { job, sample, start, end, from: start, to: end, was, label, kind, ...moved };
  sending = sending.then(async () => {
    try {
      await post("/review/verdict", body);
    } catch (error) {
      segment.verdict = earlier;
      given.splice(wasGiven, 1);
      at = place;
      show({ isSilent: true });
      fail(`Not stored: ${error.message}`);
      return;
    }
    if (moved.start !== undefined || isBatchOver) {
      await refresh();
    }
  });
}

/** The next place after `place` that has no verdict; behind the last one, the first that was skipped. */
function nextPending(place) {
  const isPending = (one) => one.verdict === undefined;
  const next = list.findIndex((one, index) => index > place && isPending(one));
  const found = next >= 0 ? next : list.findIndex(isPending);
  return found >= 0 ? found : list.length;
}

function undo() {
  const place = given.pop();
  const segment = list[place];
  sending = sending.then(async () => {
    let undone;
    try {
      ({ undone } = await post("/review/undo", { job: data.job }));
    } catch (error) {
      if (place !== undefined) {
        given.push(place);
      }
      fail(error.message);
      return;
    }
    fail(undone.length ? "" : "There is no verdict to undo.");
    if (!undone.length) {
      return;
    }
    // What was decided before this page was loaded, in another window, or twice, is listed anew.
    const isKnown = segment && segment.sample === undone[0].sample && segment.start === undone[0].start;
    if (!isKnown || place < data.decided.length || given.includes(place)) {
      await refresh();
      return;
    }
    delete segment.verdict;
    at = place;
    show();
  });
}

function move(to) {
  at = Math.min(list.length - 1, Math.max(0, to));
  show();
}

const borders = by("borders");
function closeBorders() {
  borders.hidden = true;
}

function showBorders() {
  const segment = list[at];
  const { rate } = sampleOf(segment);
  by("from-s").textContent = `${Number(by("from").value).toFixed(2)} s`;
  by("to-s").textContent = `${Number(by("to").value).toFixed(2)} s`;
  player.mark(Number(by("from").value) * rate, Number(by("to").value) * rate);
}

function openBorders() {
  const segment = list[at];
  if (segment === undefined) {
    return;
  }
  const { rate } = sampleOf(segment);
  const [first, last] = player.span;
  for (const [id, value, least, most] of [
    ["from", segment.start, first, segment.end - 0.02 * rate],
    ["to", segment.end, segment.start + 0.02 * rate, last],
  ]) {
    by(id).min = least / rate;
    by(id).max = most / rate;
    by(id).step = "any";
    by(id).value = value / rate;
  }
  borders.hidden = false;
  showBorders();
  by("from").focus();
}

borders.addEventListener("input", showBorders);
borders.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -0.01, ArrowRight: 0.01 }[event.key];
  if (event.key === "Escape") {
    event.preventDefault();
    show({ isSilent: true });
    by("main").focus();
  } else if (step && event.target.type === "range") {
    event.preventDefault();
    event.target.value = Number(event.target.value) + step * (event.shiftKey ? 10 : 1);
    showBorders();
  } else if (event.key === "Enter" && event.target.type === "range") {
    event.preventDefault();
    borders.requestSubmit();
  }
});
borders.addEventListener("submit", (event) => {
  event.preventDefault();
  const segment = list[at];
  const { rate } = sampleOf(segment);
  const [start, end] = ["from", "to"].map((id) => Math.round(Number(by(id).value) * rate));
  by("main").focus();
  decide("moved", segment.verdict ?? segment.label, { start, end });
});
by("cancel-borders").addEventListener("click", () => show({ isSilent: true }));

function accept() {
  decide("accepted", list[at]?.verdict ?? list[at]?.label);
}

function reject() {
  const other = otherOf(list[at]);
  if ((list[at]?.verdict ?? list[at]?.label) === other) {
    fail(`This segment is ${other} already. Press A to keep that, or 1–9 for another label.`);
  } else {
    decide("rejected", other);
  }
}

// After a click on a button, the space bar plays the segment; it must not press the button again.
let isPointing = false;
addEventListener("pointerdown", () => {
  isPointing = true;
});
addEventListener("keydown", () => {
  isPointing = false;
});
function leaveButton() {
  if (isPointing) {
    by("main").focus({ preventScroll: true });
  }
}

by("verdicts").addEventListener("submit", (event) => {
  event.preventDefault();
  const pressed = event.submitter.value;
  if (pressed === "accepted") {
    accept();
  } else if (pressed === "rejected") {
    reject();
  } else {
    decide("labeled", pressed.slice("label:".length));
  }
  leaveButton();
});
by("typed-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = by("typed").value.trim();
  if (label) {
    decide("labeled", label);
    by("typed").value = "";
    by("main").focus({ preventScroll: true });
  }
});
by("undo-form").addEventListener("submit", (event) => {
  event.preventDefault();
  undo();
  leaveButton();
});

const clicks = {
  previous: () => move(at - 1),
  next: () => move(at + 1),
  play: () => player.toggle(),
  edit: openBorders,
  help: () => by("keys").showModal(),
  loop: () => {
    player.isLooping = !player.isLooping;
    by("loop").setAttribute("aria-pressed", String(player.isLooping));
    keep();
  },
};
for (const [id, act] of Object.entries(clicks)) {
  by(id).addEventListener("click", () => {
    act();
    if (id !== "edit" && id !== "help") {
      leaveButton();
    }
  });
}
player.addEventListener("change", () => {
  by("play").textContent = player.isPlaying ? "Stop" : "Play";
  section.dataset.playing = String(player.isPlaying);
  if (player.isBlocked) {
    say("The browser plays sound only after a key or a click. Press the space bar.");
  }
});

function changeSpeed(step) {
  by("speed").selectedIndex = Math.min(by("speed").length - 1, Math.max(0, by("speed").selectedIndex + step));
  by("speed").dispatchEvent(new Event("change"));
  say(`Speed ${by("speed").value}`);
}
by("speed").addEventListener("change", () => {
  player.speed = Number(by("speed").value);
  keep();
});
by("context").addEventListener("change", () => {
  player.contextS = Number(by("context").value);
  keep();
  show();
});
by("use-keys").addEventListener("change", keep);

const SETTINGS = "local-studio-review";
function keep() {
  const kept = { speed: by("speed").value, context: by("context").value, loop: player.isLooping };
  try {
    localStorage.setItem(SETTINGS, JSON.stringify({ ...kept, keys: by("use-keys").checked }));
  } catch {
    // They last as long as the page.
  }
}
function restore() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(SETTINGS)) ?? {};
  } catch {
    // Nothing is kept.
  }
  by("speed").value = kept.speed ?? "1";
  by("context").value = kept.context ?? "0.5";
  by("use-keys").checked = kept.keys ?? true;
  player.speed = Number(by("speed").value) || 1;
  player.contextS = Number(by("context").value);
  player.isLooping = Boolean(kept.loop);
  by("loop").setAttribute("aria-pressed", String(player.isLooping));
}

const keys = {
  a: accept,
  r: reject,
  e: openBorders,
  z: undo,
  l: clicks.loop,
  " ": clicks.play,
  "?": clicks.help,
  arrowleft: clicks.previous,
  arrowright: clicks.next,
  "-": () => changeSpeed(-1),
  "+": () => changeSpeed(1),
};
document.addEventListener("keydown", (event) => {
  const { target } = event;
  const isTyping = target.matches("input:not([type=checkbox]), select, textarea") || target.closest("dialog");
  const isPressing = target.closest("button, a, summary") && (event.key === " " || event.key === "Enter");
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || isTyping || isPressing) {
    return;
  }
  const key = event.key.toLowerCase();
  const label = /^[1-9]$/.test(key) ? data.labels[Number(key) - 1] : undefined;
  const act = label === undefined ? keys[key] : () => decide("labeled", label);
  if (!act || (!by("use-keys").checked && key.length === 1)) {
    return;
  }
  event.preventDefault();
  if (!event.repeat || key.startsWith("arrow")) {
    act();
  }
});

for (const element of document.querySelectorAll(".only-script")) {
  element.hidden = false;
}
read(section.dataset);
restore();
show();
