// Which part of a recording is seen, and the words for times.

// The browser cannot lay out what is wider than some 33 million pixels.
const MOST_ZOOM = 8000;
const SHORTEST_S = 0.02;

/** The span of seconds from `start` to `end` that is drawn over the width of `stage`. Tells of changes by "change". */
export class View extends EventTarget {
  constructor(stage, length) {
    super();
    this.stage = stage;
    this.length = length;
    this.start = 0;
    this.end = length;
  }

  get span() {
    return this.end - this.start;
  }

  get isWhole() {
    return this.span >= this.length;
  }

  /** Show the given seconds, moved and cut so that they lie within the recording. Returns whether anything changed. */
  show(start, end) {
    const shortest = Math.min(this.length, Math.max(SHORTEST_S, this.length / MOST_ZOOM));
    const span = Math.min(this.length, Math.max(shortest, end - start));
    const from = Math.min(Math.max(0, (start + end - span) / 2), this.length - span);
    if (Math.abs(from - this.start) < 1e-9 && Math.abs(from + span - this.end) < 1e-9) {
      return false;
    }
    this.start = from;
    this.end = from + span;
    this.dispatchEvent(new Event("change"));
    return true;
  }

  /** Show `factor` times as much, with the second `at` staying where it is drawn. */
  zoom(factor, at) {
    const share = (at - this.start) / this.span;
    const span = Math.min(this.length, this.span * factor);
    return this.show(at - share * span, at + (1 - share) * span);
  }

  /** Show what lies later by a share of what is shown. */
  scroll(share) {
    const by = Math.max(-this.start, Math.min(share * this.span, this.length - this.end));
    return this.show(this.start + by, this.end + by);
  }

  has(second) {
    return this.start <= second && second <= this.end;
  }

  /** Bring a span into sight, if its start is not. */
  reveal(start, end) {
    if (start < this.start || start >= this.end || (end > this.end && start > this.start + 0.9 * this.span)) {
      const from = start - 0.1 * this.span;
      const span = this.span;
      this.show(Math.max(0, from), Math.max(0, from) + span);
    }
  }

  /** Where a second is drawn, as a share of the width. */
  place(second) {
    return (second - this.start) / this.span;
  }

  /** The second that is drawn at a place of the window. */
  at(clientX) {
    const box = this.stage.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
    return this.start + share * this.span;
  }
}

/** Seconds as a clock shows them: 0:07.50, 1:02:33.00. */
export function clock(seconds, digits = 2) {
  const unit = 10 ** digits;
  const all = Math.round(seconds * unit);
  const rest = ((all % (60 * unit)) / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const minutes = Math.floor(all / (60 * unit));
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
