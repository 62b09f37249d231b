// The player, and the cursor that shows where it is.

/** `position` in seconds follows the audio, or the reader's clicks where there is none. */
export class Player extends EventTarget {
  constructor(view, audio, cursor) {
    super();
    this.view = view;
    this.audio = audio;
    this.cursor = cursor;
    this.position = 0;
    this.stopAt = null;
    cursor.hidden = false;
    audio.addEventListener("play", () => this.follow());
    for (const kind of ["timeupdate", "seeking", "seeked", "pause", "ended"]) {
      audio.addEventListener(kind, () => this.moved());
    }
    audio.addEventListener("pause", () => {
      this.stopAt = null;
    });
    view.addEventListener("change", () => this.draw());
    this.draw();
  }

  seek(second) {
    this.stopAt = null;
    this.position = Math.min(this.view.length, Math.max(0, second));
    this.audio.currentTime = this.position;
    this.draw();
    this.dispatchEvent(new Event("move"));
  }

  toggle() {
    if (this.audio.paused) {
      this.play();
    } else {
      this.audio.pause();
    }
  }

  /** Play from `start` to `end`, in seconds. */
  playSpan(start, end) {
    this.seek(start);
    this.stopAt = end;
    this.play();
  }

  play() {
    // What cannot be played says so in the player itself.
    this.audio.play().catch(() => {});
  }

  follow() {
    this.moved();
    if (this.stopAt !== null && this.position >= this.stopAt) {
      const end = this.stopAt;
      this.audio.pause();
      this.seek(end);
    } else if (!this.audio.paused) {
      if (this.position > this.view.end) {
        this.view.show(this.position, this.position + this.view.span);
      }
      requestAnimationFrame(() => this.follow());
    }
  }

  moved() {
    // Before anything is loaded the audio stands at 0, wherever the reader has put the cursor.
    if (this.audio.readyState > 0) {
      this.position = this.audio.currentTime;
      this.draw();
    }
  }

  draw() {
    this.cursor.hidden = !this.view.has(this.position);
    this.cursor.style.left = `${100 * this.view.place(this.position)}%`;
  }
}
