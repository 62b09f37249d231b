// The page of a recording: puts view, pictures, player, lanes and editor together, and listens to mouse and keys.
import { Drawing } from "./drawing.js";
import { Editor } from "./edit.js";
import { Lane, explain } from "./lanes.js";
import { Player } from "./player.js";
import { View, clock } from "./view.js";

const DRAG_PX = 5; // less is a click

const section = document.getElementById("recording");
const stage = document.getElementById("stage");
const audio = document.getElementById("player");
const panel = document.getElementById("why");
const data = JSON.parse(section.dataset.recording);
const view = new View(stage, data.values / data.rate);
const player = new Player(view, audio, document.getElementById("cursor"));
const editButton = document.getElementById("edit");
const playSegment = document.getElementById("play-segment");
const similar = document.getElementById("similar");
const note = document.getElementById("note");

for (const element of section.querySelectorAll(".only-script:not(#note)")) {
  element.hidden = false;
}

function say(text) {
  document.getElementById("said").textContent = text;
}

new Drawing(view, data, (text) => {
  note.textContent = text;
  note.hidden = !text;
});

const lanes = { current: new Lane(document.getElementById("current"), view, data.rate, "current") };
lanes.current.set(data.current);
if (data.proposed) {
  lanes.proposed = new Lane(document.getElementById("proposed"), view, data.rate, "proposed");
  lanes.proposed.set(data.proposed);
}

const colors = new Map();
for (const option of document.getElementById("labels").options) {
  colors.set(option.value, Number(option.dataset.color));
}

// Which segment the panel tells of: the one under the pointer or the focus, else the one that was clicked.
let pinned = null;
let told = null;

function tell(which) {
  const segment = which && lanes[which.kind].segments[which.index];
  told = segment || null;
  playSegment.hidden = !told;
  similar.hidden = !told;
  if (segment) {
    similar.href = `/similar?sample=${data.id}&start=${segment.start}&end=${segment.end}`;
    const isProposed = which.kind === "proposed";
    explain(panel, segment, data.rate, isProposed ? data.proposing : null, !isProposed && (data.byHand || editor.isOn));
  }
}

const editor = new Editor({ lane: lanes.current, player, data, colors, say, changed: () => tell(pinned) });

function pin(which) {
  pinned = which;
  if (which.kind === "current" && editor.isOn) {
    editor.choose(which.index);
    lanes.proposed?.choose(-1);
  } else {
    for (const [kind, lane] of Object.entries(lanes)) {
      if (kind !== "current" || !editor.isOn) {
        lane.choose(kind === which.kind ? which.index : -1);
      }
    }
  }
  tell(which);
}

function whichOf(target) {
  const button = target.closest(".segment");
  return button && { kind: button.closest("#proposed") ? "proposed" : "current", index: Number(button.dataset.index) };
}

stage.addEventListener("pointerover", (event) => tell(whichOf(event.target) || pinned));
stage.addEventListener("pointerleave", () => tell(pinned));
stage.addEventListener("focusin", (event) => {
  const which = whichOf(event.target);
  if (which) {
    const { start, end } = lanes[which.kind].segments[which.index];
    view.reveal(start / data.rate, end / data.rate);
    tell(which);
  }
});
playSegment.addEventListener("click", () => player.playSpan(told.start / data.rate, told.end / data.rate));

// A click seeks; a drag moves what is seen, or draws a new segment while labels are edited and shift is held.
let drag = null;
let wasDragged = false;
let drawnFrom = null;
stage.addEventListener("pointerdown", (event) => {
  if (event.button === 0 && event.shiftKey && editor.isOn) {
    drawnFrom = { x: event.clientX, at: view.at(event.clientX) };
  } else if (event.button === 0) {
    drag = { x: event.clientX, start: view.start, end: view.end };
    wasDragged = false;
  }
});
addEventListener("pointermove", (event) => {
  if (!drag || view.isWhole) {
    return;
  }
  const by = event.clientX - drag.x;
  if (wasDragged || Math.abs(by) > DRAG_PX) {
    wasDragged = true;
    const span = drag.end - drag.start;
    const start = Math.min(view.length - span, Math.max(0, drag.start - (by / stage.clientWidth) * span));
    view.show(start, start + span);
  }
});
stage.addEventListener("dragstart", (event) => event.preventDefault()); // of the picture
addEventListener("pointerup", (event) => {
  if (drawnFrom && Math.abs(event.clientX - drawnFrom.x) > DRAG_PX) {
    const [start, end] = [drawnFrom.at, view.at(event.clientX)].sort((a, b) => a - b);
    editor.insert(start * data.rate, end * data.rate);
    wasDragged = true; // the click that follows seeks nothing
  }
  drawnFrom = null;
});
for (const kind of ["pointerup", "pointercancel"]) {
  addEventListener(kind, () => {
    drag = null;
  });
}
stage.addEventListener("click", (event) => {
  if (wasDragged) {
    wasDragged = false;
    return;
  }
  const which = whichOf(event.target);
  const isPointed = event.detail > 0;
  if (which) {
    pin(which);
  }
  if (isPointed || which) {
    player.seek(isPointed ? view.at(event.clientX) : lanes[which.kind].segments[which.index].start / data.rate);
  }
});
stage.addEventListener(
  "wheel",
  (event) => {
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const unit = event.deltaMode === 0 ? 1 : 30;
    const by = unit * (isSideways && event.deltaX ? event.deltaX : event.deltaY);
    const moved = isSideways ? view.scroll(by / stage.clientWidth) : view.zoom(2 ** (by / 240), view.at(event.clientX));
    if (moved) {
      event.preventDefault(); // at both ends the wheel scrolls the page
    }
  },
  { passive: false },
);

function middle() {
  return view.has(player.position) ? player.position : (view.start + view.end) / 2;
}

const actions = {
  in: () => view.zoom(0.5, middle()),
  out: () => view.zoom(2, middle()),
  whole: () => view.show(0, view.length),
  earlier: () => view.scroll(-0.5),
  later: () => view.scroll(0.5),
};
section.querySelector(".tools").addEventListener("click", (event) => {
  actions[event.target.closest("[data-do]")?.dataset.do]?.();
});

function seekBy(seconds) {
  player.seek(player.position + seconds);
  view.reveal(player.position, player.position);
}

function isPlayKey(event) {
  const { target } = event;
  const isOutside = target === document.body || target.id === "main";
  return event.key === " " && (isOutside || stage.contains(target));
}

document.addEventListener("keydown", (event) => {
  const { target } = event;
  const isInside = section.contains(target);
  const isOutside = target === document.body || target.id === "main";
  if (event.defaultPrevented || event.altKey || !(isInside || isOutside) || target.matches("input, audio")) {
    return;
  }
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    const step = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
    if (editor.isOn && step) {
      event.preventDefault();
      editor.act(step);
    }
    return;
  }
  const seconds = event.shiftKey ? 0.1 : 1;
  const inStage = stage.contains(target);
  let act = null;
  if (isPlayKey(event)) {
    act = () => player.toggle();
  } else if (key === "arrowleft" || key === "arrowright") {
    act = () => seekBy(key === "arrowleft" ? -seconds : seconds);
  } else if (inStage && (key === "home" || key === "end")) {
    act = () => seekBy(key === "home" ? -view.length : view.length);
  } else if (isInside && (key === "+" || key === "=")) {
    act = actions.in;
  } else if (isInside && key === "-") {
    act = actions.out;
  } else if (inStage && key === "s" && editor.isOn) {
    act = () => editor.act("split");
  } else if (inStage && key === "n" && editor.isOn) {
    act = () => editor.act("insert");
  }
  if (act) {
    event.preventDefault();
    act();
  }
});
// A button is pressed when the space bar comes up again.
document.addEventListener("keyup", (event) => {
  if (isPlayKey(event)) {
    event.preventDefault();
  }
});

editButton.addEventListener("click", () => {
  const isOn = editor.toggle();
  editButton.setAttribute("aria-pressed", String(isOn));
  section.classList.toggle("editing", isOn);
  if (isOn && pinned?.kind === "current") {
    editor.choose(pinned.index);
  }
});
document.getElementById("editor").addEventListener("click", () => {
  editButton.setAttribute("aria-pressed", String(editor.isOn));
  section.classList.toggle("editing", editor.isOn);
});

let announcing = 0;
function describe() {
  const digits = view.span < 10 ? 2 : view.length < 60 ? 1 : 0;
  const text = view.isWhole
    ? `The whole recording, ${clock(view.length, digits)}`
    : `${clock(view.start, digits)} – ${clock(view.end, digits)} of ${clock(view.length, digits)}`;
  document.getElementById("shown").textContent = text;
  return text;
}
view.addEventListener("change", () => {
  const text = describe();
  clearTimeout(announcing);
  announcing = setTimeout(() => say(text), 700);
});
describe();

// The notice was read; a reload must not show it again.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}
