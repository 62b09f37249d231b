// Segments as buttons on the axis of time, and the panel that says why.
import { clock } from "./view.js";

/** One row of segments: `{start, end, label, color, why}`, in values, the end not included. */
export class Lane {
  constructor(element, view, rate, kind) {
    this.element = element;
    this.view = view;
    this.rate = rate;
    this.kind = kind;
    this.segments = [];
    this.buttons = [];
    this.track = document.createElement("div");
    this.track.className = "track";
    element.replaceChildren(this.track);
    view.addEventListener("change", () => this.lay());
  }

  /** Show these segments; buttons stay what they are as far as they go, so that the focus does. */
  set(segments) {
    this.segments = segments;
    while (this.buttons.length > segments.length) {
      this.buttons.pop().remove();
    }
    while (this.buttons.length < segments.length) {
      this.buttons.push(this.button(this.buttons.length));
    }
    const all = this.view.length * this.rate;
    segments.forEach((segment, index) => {
      const button = this.buttons[index];
      button.style.left = `${(100 * segment.start) / all}%`;
      button.style.width = `${(100 * (segment.end - segment.start)) / all}%`;
      const color = segment.color === null ? "other" : `c${segment.color}`;
      button.className = `segment ${this.kind} ${segment.label ? color : "nameless"}`;
      button.firstChild.textContent = segment.label || "no label yet";
      button.setAttribute("aria-label", `${segment.label || "no label yet"}, ${this.times(segment)}`);
    });
    this.lay();
  }

  times(segment) {
    return `${clock(segment.start / this.rate)} to ${clock(segment.end / this.rate)}`;
  }

  choose(index) {
    this.buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
  }

  button(index) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.index = String(index);
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-describedby", "why");
    button.append(document.createElement("bdi"));
    this.track.append(button);
    return button;
  }

  lay() {
    const { view } = this;
    this.track.style.left = `${-100 * (view.start / view.span)}%`;
    this.track.style.width = `${100 * (view.length / view.span)}%`;
    // The name of the segment that began before what is seen is written where it can be seen.
    if (this.cut) {
      this.cut.style.paddingLeft = "";
      this.cut = null;
    }
    const from = view.start * this.rate;
    const index = this.segments.findIndex((one) => one.start < from && from < one.end);
    if (index >= 0) {
      this.cut = this.buttons[index];
      const hidden = ((from - this.segments[index].start) / this.rate / view.span) * view.stage.clientWidth;
      this.cut.style.paddingLeft = `${hidden + 4}px`;
    }
  }
}

/** Write into `panel` all that is known of a segment. `job` is the one that proposes it, or null. */
export function explain(panel, segment, rate, job, byHand) {
  const { why } = segment;
  const rows = [
    ["Label", segment.label || "none yet"],
    ["Time", `${clock(segment.start / rate, 3)} – ${clock(segment.end / rate, 3)}`],
    ["Length", `${((segment.end - segment.start) / rate).toFixed(3)} s`],
  ];
  if (why) {
    if (why.was !== null) {
      rows.push(["Changed since", `job ${why.job} found “${why.was}” here`]);
    } else if (!why.same) {
      rows.push(["Moved since", `job ${why.job} found other borders`]);
    }
    if (why.score !== null) {
      rows.push(["Score", why.score.toFixed(2)]);
    }
    if (why.runnersUp.length) {
      rows.push(["Runners-up", why.runnersUp.map((one) => `${one.label} ${one.score.toFixed(2)}`).join(", ")]);
    }
    if (why.loudness !== null) {
      rows.push(["Loudness", `${why.loudness.toFixed(1)} dBFS`]);
    }
    if (why.windows !== null && why.agreeing !== null) {
      rows.push(["Windows", `${why.agreeing} of ${why.windows} windows agreed`]);
    }
    rows.push(["Source", `job ${why.job}`]);
  } else {
    rows.push(["Why", byHand ? "no details: hand-made" : "no details: this block reports none"]);
  }
  if (job !== null) {
    rows.push(["State", `proposed by job ${job}`]);
  }
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [name, value] of rows) {
    const term = document.createElement("dt");
    term.textContent = name;
    const told = document.createElement("dd");
    told.textContent = value;
    list.append(term, told);
  }
  panel.replaceChildren(list);
}
