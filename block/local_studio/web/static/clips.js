// Play the clip of a segment as soon as it is shown: the next ones are loaded ahead.

const LONGEST_S = 60; // a longer segment is played from the whole recording, which the browser loads in parts
const KEPT = 12; // clips that stay loaded
const WIDTH = 1000;
const HEIGHT = 160;

/** `contextS` seconds are added on each side. Tells by "change" when it plays or stops. */
export class ClipPlayer extends EventTarget {
  constructor(elements) {
    super();
    Object.assign(this, elements);
    this.clips = new Map();
    this.contextS = 0.5;
    this.isLooping = false;
    this.isBlocked = false;
    this.clip = null;
    this.rate = 1;
  }

  get isPlaying() {
    return this.clip !== null && !this.clip.audio.paused;
  }

  /** The values that are drawn. */
  get span() {
    return [this.clip.start, this.clip.end];
  }

  set speed(speed) {
    this.rate = speed;
    for (const { audio } of this.clips.values()) {
      audio.playbackRate = speed;
      audio.defaultPlaybackRate = speed;
    }
  }

  /** Load a segment's sound and picture. Returns the clip. */
  prepare(segment, sample) {
    const context = Math.round(this.contextS * sample.rate);
    const start = Math.max(0, segment.start - context);
    const end = Math.min(sample.values, segment.end + context);
    const key = `${segment.sample}:${start}:${end}`;
    let clip = this.clips.get(key);
    if (!clip) {
      const address = `/recordings/${segment.sample}`;
      const isLong = end - start > LONGEST_S * sample.rate;
      const audio = new Audio();
      audio.preload = "auto";
      audio.src = `${address}/${isLong ? "audio?" : `clip?start=${start}&end=${end}&`}v=${sample.version}`;
      audio.defaultPlaybackRate = this.rate;
      audio.playbackRate = this.rate;
      const picture = new Image();
      picture.src =
        `${address}/spectrogram.png?start=${start / sample.rate}&end=${end / sample.rate}` +
        `&width=${WIDTH}&height=${HEIGHT}&v=${sample.version}`;
      clip = { audio, picture, start, end, rate: sample.rate, offset: isLong ? start / sample.rate : 0 };
      for (const kind of ["play", "pause", "ended"]) {
        audio.addEventListener(kind, () => this.dispatchEvent(new Event("change")));
      }
    }
    this.clips.delete(key);
    this.clips.set(key, clip); // the newest last
    for (const [old, { audio }] of [...this.clips].slice(0, -KEPT)) {
      audio.removeAttribute("src");
      this.clips.delete(old);
    }
    return clip;
  }

  /** Draw a segment, and play it unless `isSilent`. */
  show(segment, sample, isSilent) {
    const clip = this.prepare(segment, sample);
    if (clip !== this.clip) {
      this.stop();
    }
    this.clip = clip;
    this.picture.src = clip.picture.src;
    this.mark(segment.start, segment.end);
    if (isSilent) {
      this.draw();
    } else {
      this.play();
    }
  }

  /** Draw the borders of the segment. */
  mark(start, end) {
    const length = this.clip.end - this.clip.start;
    this.before.style.width = `${(100 * Math.max(0, start - this.clip.start)) / length}%`;
    this.after.style.width = `${(100 * Math.max(0, this.clip.end - end)) / length}%`;
  }

  async play() {
    const { audio, offset } = this.clip;
    audio.currentTime = offset;
    audio.playbackRate = this.rate;
    try {
      await audio.play();
      this.isBlocked = false;
    } catch (error) {
      this.isBlocked = error.name === "NotAllowedError";
      this.dispatchEvent(new Event("change"));
      return;
    }
    this.follow(this.clip);
  }

  stop() {
    this.clip?.audio.pause();
  }

  toggle() {
    if (this.isPlaying) {
      this.stop();
    } else if (this.clip) {
      this.play();
    }
  }

  follow(clip) {
    if (clip !== this.clip) {
      return;
    }
    this.draw();
    const isOver = clip.audio.ended || this.share() >= 1;
    if (isOver && this.isLooping) {
      this.play();
    } else if (isOver) {
      this.stop();
    } else if (!clip.audio.paused) {
      requestAnimationFrame(() => this.follow(clip));
    }
  }

  /** How much of the clip was played, 0…1. */
  share() {
    const { audio, offset, start, end, rate } = this.clip;
    return ((audio.currentTime - offset) * rate) / (end - start);
  }

  draw() {
    this.cursor.style.left = `${100 * Math.min(1, Math.max(0, this.share()))}%`;
  }
}
