// A line in the spectrogram follows the audio; a click jumps to that place.
for (const box of document.querySelectorAll('.moment')) {
  const audio = box.querySelector('audio'), svg = box.querySelector('svg'), head = box.querySelector('.head');
  if (!audio || !svg || !head) continue;
  const left = +svg.dataset.left, width = +svg.dataset.width, seconds = +svg.dataset.seconds;
  const draw = () => {
    const x = left + width * Math.min(1, audio.currentTime / seconds);
    head.setAttribute('x1', x); head.setAttribute('x2', x); head.style.visibility = 'visible';
    if (!audio.paused) requestAnimationFrame(draw);
  };
  audio.addEventListener('play', () => {
    for (const other of document.querySelectorAll('audio')) if (other !== audio) other.pause();
    draw();
  });
  audio.addEventListener('seeked', draw);
  svg.addEventListener('click', event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    audio.currentTime = Math.max(0, Math.min(1, (x - left) / width)) * seconds;
    audio.play();
  });
}
