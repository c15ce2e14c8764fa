// What is shown of an image and of its restoration: the controls, the steps of the first sample, the mean and the spread.

const BLACK = -1; // network values that are shown black and white
const WHITE = 1.2;
const SPREAD_WHITE = 0.4; // standard deviation, in network values, that is shown white

const root = document.getElementById("live");
const part = (name) => root.querySelector(`#live-${name}`);
const folder = document.currentScript.src.replace(/[^/]*$/, "");
const state = {
  image: null, // { grey, height, width, pixelSizeNm, name, truth }
  file: null, // the opened file, of which one plane is the image
  workers: [], // all have loaded the model named in `loaded`
  loaded: null,
  run: null, // what came of the restoration so far: see `start`
  attempt: 0, // counts what the reader has asked for; an answer to an earlier question is dropped
};

const say = (text) => (part("status").textContent = text);

const minutes = (seconds) =>
  seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} minutes`;

// Samples come as workers finish them, so the third may be there before the second.
const arrived = () => state.run?.samples.filter(Boolean) ?? [];

function controls() {
  const running = Boolean(state.run?.running);
  const samples = arrived().length;
  const focused = document.activeElement;
  part("start").disabled = !state.image || !state.one || running;
  part("stop").disabled = !running;
  for (const name of ["model", "samples", "file", "plane"]) part(name).disabled = running;
  for (const button of part("examples").querySelectorAll("button")) button.disabled = running;
  part("save-mean").disabled = running || !samples;
  part("save-std").disabled = running || samples < 2;
  if (!running) part("left").textContent = "";
  // A button that is switched off loses the keyboard's focus; it goes on to what can be done next.
  const next = running ? part("stop") : samples ? part("save-mean") : part("start");
  if (root.contains(focused) && focused.disabled && !next.disabled) next.focus();
}

function showStep() {
  const { steps } = state.run;
  const number = Math.min(Number(part("step").value), steps.length);
  const { t, x, x0Hat } = steps[number - 1] ?? {};
  if (!x) return;
  const when = `after step ${number} of 10, from t = ${t + 1}`;
  part("step-words").textContent = when;
  part("step").setAttribute("aria-valuetext", when);
  drawImage(part("x"), x, state.image, `x_t of the first sample ${when}`);
  drawImage(part("x0"), x0Hat, state.image, `What the network took for the clean image ${when}`);
}

function showResult() {
  const { image, run } = state;
  const samples = arrived();
  const { offset, scale } = image.scaling;
  const shown = Math.min(run.shown, samples.length);
  part("shown").max = Math.max(1, samples.length);
  part("shown").value = Math.max(1, shown);
  part("shown").disabled = samples.length < 2;
  const oneCall = run.oneCall && meanAndStd([run.oneCall], image.scaling).mean;
  const { mean, std } = samples.length
    ? meanAndStd(samples.slice(0, shown), image.scaling)
    : { mean: oneCall, std: null };
  if (!mean) return;
  const what = shown ? (shown === 1 ? "one sample" : `mean of ${shown} samples`) : "mean by one call";
  const quality = image.truth ? `, PSNR ${psnr(image.truth, mean).toFixed(2)} dB` : "";
  part("shown-words").textContent = part("mean-words").textContent = what + quality;
  part("shown").setAttribute("aria-valuetext", what);
  const [low, high] = [offset + BLACK * scale, offset + WHITE * scale];
  drawImage(part("mean"), shades(mean, low, high), image, `The restored image, ${what}${quality}`);
  const white = SPREAD_WHITE * scale;
  const spread = shown > 1 ? std : new Float64Array(mean.length);
  const average = spread.reduce((sum, value) => sum + value) / spread.length;
  const words =
    shown > 1
      ? `${average.toPrecision(3)} grey levels on average, white is ${white.toPrecision(3)}`
      : "needs two samples";
  drawImage(part("std"), shades(spread, 0, white), image, `Standard deviation of the samples: ${words}`);
  part("std-words").textContent = words;
  [run.mean, run.std] = [mean, std];
  if (image.truth && samples.length && oneCall) {
    const values = samples.map((_, n) => psnr(image.truth, meanAndStd(samples.slice(0, n + 1), image.scaling).mean));
    const curve = { values, oneCall: psnr(image.truth, oneCall), shown, samples: run.wanted };
    part("curve-words").textContent = drawCurve(part("curve"), curve);
  }
}

function save(what) {
  const { image, run } = state;
  const bytes = writeTiff(run[what], image.height, image.width, image.pixelSizeNm);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "image/tiff" }));
  link.download = `${image.name}.${what}.tif`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function progress(run) {
  run.done++;
  const left = ((performance.now() - run.began) / 1000 / run.done) * (run.total - run.done);
  part("progress").max = run.total;
  part("progress").value = run.done;
  part("left").textContent = `${run.done} of ${run.total} calls, about ${minutes(left)} left`;
}
