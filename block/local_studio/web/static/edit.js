// Labels by hand: a list of segments that always covers the whole recording, with undo, until it is saved.
import { clock } from "./view.js";

const STEP_S = 0.01;
const NEW_S = 1; // how long a new segment is until its borders are moved
const TOGETHER_MS = 800; // moves of one boundary that come this close are undone together

/** A segment with other bounds, which are then no longer those that a job found. */
function bounded(segment, bounds) {
  return { ...segment, ...bounds, why: segment.why && { ...segment.why, same: false } };
}

/** Edits the lane `lane` of the recording that `data` names. `changed` is called when the segments have changed. */
export class Editor {
  constructor({ lane, player, data, colors, changed, say }) {
    Object.assign(this, { lane, player, data, colors, changed, say });
    this.root = document.getElementById("editor");
    this.input = document.getElementById("label");
    this.trouble = document.getElementById("trouble");
    this.state = document.getElementById("state");
    this.isOn = false;
    this.chosen = 0;
    this.boundaries = [];
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-edit]");
      if (button) {
        this.act(button.dataset.edit);
      }
    });
    this.input.addEventListener("input", () => this.rename(this.input.value));
    addEventListener("beforeunload", (event) => {
      if (this.isOn && this.isDirty && !this.isLeaving) {
        event.preventDefault();
      }
    });
    this.reset();
  }

  /** Back to the labels that are stored. */
  reset() {
    const stored = this.data.current;
    this.segments = stored.length ? stored : [{ start: 0, end: this.data.values, label: "", color: null, why: null }];
    this.saved = stored;
    this.past = [];
    this.future = [];
    this.together = null;
  }

  get isDirty() {
    return this.segments !== this.saved && this.past.length > 0;
  }

  /** Switch editing on or off; off only when nothing would be lost. Returns whether it is on now. */
  toggle() {
    if (this.isOn && this.isDirty) {
      this.tell("You have unsaved changes. Save or discard them first.");
      return true;
    }
    this.isOn = !this.isOn;
    this.root.hidden = !this.isOn;
    this.tell("");
    this.draw();
    return this.isOn;
  }

  /** Take over new segments, and keep the old ones to go back to. `together` names changes that are undone as one. */
  change(segments, together = null) {
    const now = Date.now();
    const same = together !== null && this.together?.name === together && now - this.together.at < TOGETHER_MS;
    if (!same) {
      this.past.push({ segments: this.segments, chosen: this.chosen });
    }
    this.together = together === null ? null : { name: together, at: now };
    this.future = [];
    this.segments = segments;
    this.draw();
  }

  act(what) {
    this.tell("");
    const { segments, chosen } = this;
    const one = segments[chosen];
    if (what === "split") {
      const at = Math.round(this.player.position * this.data.rate);
      const index = segments.findIndex((each) => each.start < at && at < each.end);
      if (index < 0) {
        this.tell("The cursor is on a boundary. Move it into a segment.");
        return;
      }
      const old = segments[index];
      this.chosen = index + 1;
      const halves = [bounded(old, { end: at }), bounded(old, { start: at })];
      this.change([...segments.slice(0, index), ...halves, ...segments.slice(index + 1)]);
      this.say(`Split at ${clock(at / this.data.rate)}`);
      this.input.focus();
      this.input.select();
    } else if (what === "insert") {
      const from = Math.round(this.player.position * this.data.rate);
      this.insert(from, from + NEW_S * this.data.rate);
    } else if (what === "before" && chosen > 0) {
      this.chosen -= 1;
      this.change([...segments.slice(0, chosen - 1), bounded(one, { start: segments[chosen - 1].start }), ...segments.slice(chosen + 1)]);
      this.say("Merged with the one before");
    } else if (what === "after" && chosen < segments.length - 1) {
      this.change([...segments.slice(0, chosen), bounded(one, { end: segments[chosen + 1].end }), ...segments.slice(chosen + 2)]);
      this.say("Merged with the one after");
    } else if (what === "undo" || what === "redo") {
      this.step(what);
    } else if (what === "proposed") {
      this.chosen = 0;
      this.change(this.data.proposed);
      this.say("Copied the proposed segments. They are not saved yet");
    } else if (what === "discard") {
      this.reset();
      this.chosen = 0;
      this.say("Changes discarded");
      this.toggle();
      document.getElementById("edit").focus();
      this.changed();
    } else if (what === "save") {
      this.save();
    }
  }

  /** Put a new segment without a label over the values `start` … `end` - 1. */
  insert(start, end) {
    const from = Math.max(0, Math.min(Math.round(start), this.data.values - 1));
    const to = Math.min(this.data.values, Math.max(from + 1, Math.round(end)));
    const cut = (one, bounds) => bounded(one, bounds);
    const left = this.segments.filter((one) => one.start < from).map((one) => (one.end > from ? cut(one, { end: from }) : one));
    const right = this.segments.filter((one) => one.end > to).map((one) => (one.start < to ? cut(one, { start: to }) : one));
    this.chosen = left.length;
    this.change([...left, { start: from, end: to, label: "", color: null, why: null }, ...right]);
    this.say(`New segment, ${clock(from / this.data.rate)} to ${clock(to / this.data.rate)}`);
    this.input.focus();
  }

  step(what) {
    const [from, to] = what === "undo" ? [this.past, this.future] : [this.future, this.past];
    if (!from.length) {
      return;
    }
    to.push({ segments: this.segments, chosen: this.chosen });
    ({ segments: this.segments, chosen: this.chosen } = from.pop());
    this.together = null;
    this.draw();
    this.say(what === "undo" ? "Undone" : "Redone");
  }

  choose(index) {
    this.chosen = index;
    this.draw();
  }

  rename(label) {
    const color = this.colors.get(label.trim()) ?? null;
    const segments = this.segments.map((one, at) => (at === this.chosen ? { ...one, label: label.trim(), color, why: null } : one));
    this.change(segments, `label ${this.chosen}`);
  }

  /** Move the boundary after segment `index` to a value, as far as its neighbors leave room. */
  move(index, value) {
    const left = this.segments[index];
    const right = this.segments[index + 1];
    const at = Math.min(right.end - 1, Math.max(left.start + 1, Math.round(value)));
    if (at === left.end) {
      return;
    }
    const segments = [...this.segments];
    segments[index] = bounded(left, { end: at });
    segments[index + 1] = bounded(right, { start: at });
    this.change(segments, `boundary ${index}`);
    this.player.seek(at / this.data.rate);
  }

  draw() {
    const { segments, isOn } = this;
    this.chosen = Math.min(this.chosen, segments.length - 1);
    this.lane.set(isOn ? segments : this.data.current);
    this.lane.choose(isOn ? this.chosen : -1);
    this.drawBoundaries(isOn ? segments : []);
    if (!isOn) {
      return;
    }
    const label = segments[this.chosen].label;
    if (this.input.value.trim() !== label) {
      this.input.value = label;
    }
    const can = {
      before: this.chosen > 0,
      after: this.chosen < segments.length - 1,
      undo: this.past.length > 0,
      redo: this.future.length > 0,
    };
    for (const [name, is] of Object.entries(can)) {
      // Not `disabled`: the focus would be lost on a button that has just done its last work.
      this.root.querySelector(`[data-edit="${name}"]`).setAttribute("aria-disabled", String(!is));
    }
    this.state.textContent = this.isDirty ? "Not saved yet" : "Nothing changed";
    this.changed();
  }

  drawBoundaries(segments) {
    const { rate, values } = this.data;
    const wanted = Math.max(0, segments.length - 1);
    while (this.boundaries.length > wanted) {
      this.boundaries.pop().remove();
    }
    while (this.boundaries.length < wanted) {
      this.boundaries.push(this.boundary(this.boundaries.length));
    }
    this.boundaries.forEach((element, index) => {
      const [left, right] = [segments[index], segments[index + 1]];
      element.style.left = `${(100 * left.end) / values}%`;
      element.setAttribute("aria-valuemin", (left.start / rate).toFixed(3));
      element.setAttribute("aria-valuemax", (right.end / rate).toFixed(3));
      element.setAttribute("aria-valuenow", (left.end / rate).toFixed(3));
      const names = `${left.label || "no label yet"} and ${right.label || "no label yet"}`;
      element.setAttribute("aria-valuetext", `${(left.end / rate).toFixed(3)} seconds`);
      element.setAttribute("aria-label", `Boundary between ${names}`);
      // After the segment that it ends, so that the tab key goes through both in the order of time.
      const before = this.lane.buttons[index];
      if (before.nextSibling !== element) {
        before.after(element); // only then: what is moved loses the focus
      }
    });
  }

  boundary(index) {
    const element = document.createElement("div");
    element.className = "boundary";
    element.tabIndex = 0;
    element.setAttribute("role", "slider");
    element.addEventListener("keydown", (event) => this.key(event, index));
    element.addEventListener("focus", () => {
      const at = this.segments[index].end / this.data.rate;
      this.lane.view.reveal(at, at);
    });
    element.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      element.focus();
      element.setPointerCapture(event.pointerId);
      this.together = null;
      this.dragged = `drag ${Date.now()}`;
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) {
        if (this.together) {
          this.together.at = Date.now(); // a drag is one change, however long it rests
        }
        this.move(index, this.lane.view.at(event.clientX) * this.data.rate);
      }
    });
    element.addEventListener("click", (event) => event.stopPropagation());
    return element;
  }

  key(event, index) {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (way === undefined || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const step = Math.max(1, Math.round((event.shiftKey ? 10 : 1) * STEP_S * this.data.rate));
    this.move(index, this.segments[index].end + way * step);
  }

  async save() {
    const nameless = this.segments.findIndex((one) => !one.label.trim());
    if (nameless >= 0) {
      this.choose(nameless);
      this.tell("This segment has no label yet.");
      this.input.focus();
      return;
    }
    const labels = this.segments.map((one) => ({ startIndex: one.start, endIndex: one.end - 1, label: one.label.trim() }));
    try {
      const answer = await fetch(`/recordings/${this.data.id}/labels`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-csrf-token": document.querySelector('meta[name="csrf-token"]').content,
        },
        body: JSON.stringify({ revision: this.data.revision, labels }),
      });
      if (answer.ok) {
        this.leave("saved");
        return;
      }
      const { error } = await answer.json();
      this.tell(`Not saved: ${error}.`, answer.status === 409);
    } catch {
      this.tell("Not saved: the local Studio doesn’t answer. Start it again, then save again.");
    }
  }

  /** Load the page again, with the notice of what was done. */
  leave(done) {
    this.isLeaving = true;
    const next = new URL(location.href);
    next.searchParams.delete("done");
    if (done) {
      next.searchParams.set("done", done);
    }
    location.replace(next);
  }

  tell(text, canReload = false) {
    this.trouble.textContent = text;
    this.trouble.hidden = !text;
    if (canReload) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Load it again and drop my changes";
      button.addEventListener("click", () => this.leave(""));
      this.trouble.append(" ", button);
    }
  }
}
