// Decide on similar windows by single keys: the first one is marked, arrows move the mark, A and R are yes and no.
const cards = [...document.querySelectorAll(".found li")];
let at = 0;

for (const hint of document.querySelectorAll(".only-script")) {
  hint.hidden = false;
}

function show() {
  for (const [index, card] of cards.entries()) {
    card.classList.toggle("now", index === at);
  }
}

function play() {
  const audio = cards[at].querySelector("audio");
  const wasPlaying = !audio.paused;
  for (const other of document.querySelectorAll("audio")) {
    other.pause();
  }
  if (!wasPlaying) {
    audio.currentTime = 0;
    audio.play().catch(() => {}); // the player itself shows why it can't
  }
}

function move(step) {
  at = Math.min(cards.length - 1, Math.max(0, at + step));
  cards[at].scrollIntoView({ block: "nearest" });
  show();
}

const press = (verdict) => () => cards[at].querySelector(`button[value=${verdict}]`).click();
const KEYS = { a: press("yes"), r: press("no"), " ": play, ArrowRight: () => move(1), ArrowLeft: () => move(-1) };

document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  const isTaken = event.target.closest("input, textarea, select, button, a, audio, summary");
  if (act && cards.length && !isTaken && !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat) {
    event.preventDefault();
    act();
  }
});

for (const [index, card] of cards.entries()) {
  card.addEventListener("focusin", () => {
    at = index;
    show();
  });
}
show();
