// The pictures: waveform, spectrogram, and the axis of seconds. All three follow the view.
import { clock } from "./view.js";

const WAIT_MS = 150; // for the view to come to rest before pictures of it are asked for
const STEPS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const SVG = "http://www.w3.org/2000/svg";

/** Draws the recording that `data` names; `say` is given what could not be drawn, and "" when it could. */
export class Drawing {
  constructor(view, data, say) {
    this.view = view;
    this.data = data;
    this.say = say;
    this.canvas = document.getElementById("waveform");
    this.axis = document.getElementById("axis");
    this.overview = document.getElementById("spectrogram");
    this.detail = new Image();
    this.detail.alt = "";
    this.detail.id = "spectrogram-detail";
    this.whole = null; // peaks of the whole recording
    this.part = null; // peaks of the part that is seen
    this.timer = 0;
    this.aborter = new AbortController();
    view.addEventListener("change", () => this.changed());
    new ResizeObserver(() => this.changed()).observe(view.stage);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.overview.addEventListener("error", () => this.explain(this.overview.src));
    if (this.overview.complete && !this.overview.naturalWidth) {
      this.explain(this.overview.src);
    }
    this.load();
  }

  address(what, extra = {}) {
    const { start, end } = this.view;
    const width = Math.min(2400, Math.max(16, Math.round(this.view.stage.clientWidth * Math.min(2, devicePixelRatio))));
    const query = new URLSearchParams({ start: start.toFixed(6), end: end.toFixed(6), width, v: this.data.version, ...extra });
    return `/recordings/${this.data.id}/${what}?${query}`;
  }

  changed() {
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), WAIT_MS);
  }

  /** Ask for the pictures of what is seen; what was asked for before and has not come is no longer wanted. */
  async load() {
    this.aborter.abort();
    this.aborter = new AbortController();
    const { signal } = this.aborter;
    const { start, end, isWhole } = this.view;
    if (!isWhole) {
      const next = new Image();
      next.src = this.address("spectrogram.png", { height: "128" });
      next.decode().then(
        () => signal.aborted || this.put(next, start, end),
        () => signal.aborted || this.explain(next.src),
      );
    }
    try {
      const answer = await fetch(this.address("waveform.json"), { signal });
      const body = await answer.json();
      if (!answer.ok) {
        throw new Error(body.error);
      }
      this.part = { ...body, start, end };
      if (isWhole) {
        this.whole = this.part;
      }
      this.say(body.exact ? "" : "At this zoom the waveform is an estimate: zoom in to see every value.");
      this.draw();
    } catch (error) {
      if (error.name !== "AbortError") {
        this.say(`The sound cannot be drawn: ${error.message}`);
      }
    }
  }

  put(image, start, end) {
    this.detail.replaceWith(image);
    image.alt = "";
    image.id = "spectrogram-detail";
    this.detail = image;
    this.detailSpan = { start, end };
    if (!image.isConnected) {
      this.overview.after(image);
    }
    this.draw();
  }

  async explain(address) {
    try {
      const answer = await fetch(address);
      this.say(answer.ok ? "" : `The sound cannot be drawn: ${(await answer.json()).error}`);
    } catch {
      this.say("The server cannot be reached.");
    }
  }

  draw() {
    this.drawWaveform();
    this.drawAxis();
    this.lay(this.overview, 0, this.view.length);
    if (this.detailSpan) {
      this.lay(this.detail, this.detailSpan.start, this.detailSpan.end);
      this.detail.hidden = this.view.isWhole;
    }
  }

  /** Stretch a picture of some seconds to where they are drawn now. */
  lay(image, start, end) {
    const ratio = (end - start) / this.view.span;
    image.hidden = ratio > 400;
    image.style.left = `${100 * this.view.place(start)}%`;
    image.style.width = `${100 * ratio}%`;
  }

  drawWaveform() {
    const { canvas, view } = this;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    const colors = getComputedStyle(document.documentElement);
    context.clearRect(0, 0, width, height);
    context.fillStyle = colors.getPropertyValue("--hair");
    context.fillRect(0, Math.floor(height / 2), width, 1);
    context.fillStyle = colors.getPropertyValue("--accent");
    const fits = this.part && this.part.start <= view.start + 1e-6 && view.end <= this.part.end + 1e-6;
    const peaks = fits ? this.part : this.whole || this.part;
    if (!peaks) {
      return;
    }
    const step = (peaks.end - peaks.start) / peaks.low.length;
    const first = Math.max(0, Math.floor((view.start - peaks.start) / step));
    const last = Math.min(peaks.low.length, Math.ceil((view.end - peaks.start) / step));
    const wide = Math.max(scale, (step / view.span) * width);
    for (let column = first; column < last; column += 1) {
      const left = view.place(peaks.start + column * step) * width;
      // Up to where the column before ended: with few values a column, a steep line would fall into dashes.
      const before = Math.max(first, column - 1);
      const high = Math.max(peaks.high[column], peaks.low[before]);
      const low = Math.min(peaks.low[column], peaks.high[before]);
      const top = (0.5 - 0.48 * Math.min(1, high)) * height;
      const bottom = (0.5 - 0.48 * Math.max(-1, low)) * height;
      context.fillRect(left, top, wide, Math.max(scale, bottom - top));
    }
  }

  drawAxis() {
    const { view, axis } = this;
    const width = axis.clientWidth;
    const wanted = (view.span * 72) / Math.max(1, width);
    const step = STEPS_S.find((one) => one >= wanted) || 14400;
    const digits = Math.max(0, Math.min(3, Math.ceil(-Math.log10(step))));
    const parts = [];
    for (let index = Math.ceil(view.start / step - 1e-9); index * step <= view.end + 1e-9; index += 1) {
      const x = view.place(index * step) * width;
      const line = document.createElementNS(SVG, "line");
      set(line, { x1: x, x2: x, y1: 0, y2: 6 });
      const text = document.createElementNS(SVG, "text");
      const anchor = x < 20 ? "start" : x > width - 20 ? "end" : "middle";
      set(text, { x: Math.min(width - 2, Math.max(2, x)), y: 19, "text-anchor": anchor });
      text.textContent = view.length < 60 ? (index * step).toFixed(digits) : clock(index * step, digits);
      parts.push(line, text);
    }
    axis.replaceChildren(...parts);
  }
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
}
