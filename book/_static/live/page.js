// The page: the reader chooses an image, a model and a number of samples, and sees what comes.

// Run what may be refused; the refusal is told, and anything else is told as an error.
async function attempt(action) {
  const mine = ++state.attempt;
  try {
    await action(() => mine === state.attempt);
  } catch (error) {
    if (mine !== state.attempt) return;
    stopWorkers();
    if (state.run) state.run.running = false;
    refuse(error);
  }
}

// The same for what is done at once.
function guard(action) {
  try {
    action();
  } catch (error) {
    refuse(error);
  }
}

function refuse(error) {
  say(error instanceof Refused ? `Not possible: ${error.message}.` : `Something failed: ${error.message}`);
  controls();
}

// --- Models: loaded when chosen, as scripts, which a page opened as a file may load.
const loadScript = (name) =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = folder + name;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`cannot load ${name}`));
    document.head.append(script);
  });

async function needWorkers(count, current) {
  const name = part("model").value;
  if (state.loaded !== name) stopWorkers();
  if (!(name in WEIGHTS)) {
    say(`Loading the model ${name} ...`);
    await loadScript(`weights_${name}.js`);
  }
  if (!current()) return [];
  const binaries = Object.fromEntries(Object.entries(ENGINE.kernels).map(([kind, text]) => [kind, fromBase64(text)]));
  const load = { binaries, weights: fromBase64(WEIGHTS[name]), description: ENGINE.models[name] };
  state.loaded = name;
  while (state.workers.length > count) state.workers.pop().stop();
  const started = Array.from({ length: count - state.workers.length }, () => startWorker(ENGINE.worker));
  state.workers.push(...started);
  await Promise.all(started.map((worker) => worker.ask("load", load)));
  return state.workers;
}

function stopWorkers() {
  for (const worker of state.workers) worker.stop();
  state.workers = [];
}

// --- The image: one of the simulated ones, or a plane of a file.
async function openFile(file) {
  await attempt(async (current) => {
    stopWorkers();
    const size = `one of ${(file.size / 1e9).toFixed(1)} GB`;
    expect(file.size < LARGEST_FILE, "a file of less than 1 GB", size, "save the wanted plane alone");
    const opened = await openImage(new Uint8Array(await file.arrayBuffer()));
    if (!current()) return;
    state.file = { ...opened, name: file.name.replace(/\.[^.]*$/, "") };
    part("plane-row").hidden = opened.planes === 1;
    part("plane").max = opened.planes;
    part("plane").value = 1;
    part("planes").textContent = `of ${opened.planes}`;
    await choosePlane(current);
  });
}

async function choosePlane(current) {
  const { planes, height, width, pixelSizeNm, name, read } = state.file;
  const plane = Number(part("plane").value);
  expect(plane >= 1 && plane <= planes, `a plane of 1 to ${planes}`, part("plane").value, "choose another");
  const grey = await read(plane - 1);
  if (!current()) return;
  const named = planes === 1 ? name : `${name}_plane${plane}`;
  await showImage({ grey, height, width, pixelSizeNm, name: named, truth: null }, current);
}

async function chooseExample(name) {
  await attempt(async (current) => {
    stopWorkers();
    const { height, width, pixel_size_nm: pixelSizeNm, low, high } = EXAMPLES[name];
    const greys = (text) => Float64Array.from(new Uint16Array(fromBase64(text).buffer), half);
    state.file = null;
    part("plane-row").hidden = true;
    part("model").value = name;
    const image = { grey: greys(low), truth: greys(high), height, width, pixelSizeNm, name };
    await showImage(image, current);
  });
}

async function showImage(image, current) {
  [state.image, state.run] = [image, null];
  const scaling = fitScaling(image.grey, image.height, image.width, ENGINE.models[part("model").value].percentiles);
  state.image.scaling = scaling;
  const { offset, scale } = scaling;
  const nm = image.pixelSizeNm ? `, ${+image.pixelSizeNm.toPrecision(4)} nm a pixel` : "";
  const faults = scaling.faulty.reduce((sum, one) => sum + one, 0);
  const kept = faults
    ? `; ${faults} pixels stand far apart (hot, dead, saturated or masked) and are kept as they were`
    : "";
  const words = `${image.name}: ${image.width} × ${image.height} pixels${nm}${kept}`;
  const toShades = (grey) => shades(grey, offset + BLACK * scale, offset + WHITE * scale);
  drawImage(part("image"), toShades(image.grey), image, `The noisy image, ${words}`);
  part("image-words").textContent = words;
  part("image-figure").hidden = false;
  part("truth-figure").hidden = part("curve-figure").hidden = !image.truth;
  if (image.truth)
    drawImage(part("truth"), toShades(image.truth), image, "The truth: the same specimen with more light");
  part("results").hidden = true;
  await timeOneCall(current);
}

// Time one call before anything long begins, and tell what the restoration will take.
async function timeOneCall(current) {
  state.one = null;
  controls();
  const [worker] = await needWorkers(1, current);
  if (!current()) return;
  say("Timing one call of the network ...");
  const side = (length) => Math.min(length, TILE);
  const one = await worker.ask("time", { height: side(state.image.height), width: side(state.image.width) });
  if (!current()) return;
  state.one = one;
  controls();
  tellCost();
}

function tellCost() {
  if (!state.one) return;
  const { workers, bytes, seconds } = plan(state.image, samplesWanted(), state.one);
  const who = workers === 1 ? "one worker" : `${workers} workers`;
  say(`Ready: about ${minutes(seconds)} on this device, with ${who} and ${Math.round(bytes / 1e6)} MB of memory.`);
}

function samplesWanted() {
  const samples = Number(part("samples").value);
  expect(
    Number.isInteger(samples) && samples >= 1 && samples <= 50,
    "1 to 50 samples",
    part("samples").value,
    "change it",
  );
  return samples;
}

// --- The restoration.
async function start() {
  await attempt(async (current) => {
    const samples = samplesWanted();
    const { workers: count } = plan(state.image, samples, state.one);
    const { image } = state;
    const run = { samples: [], oneCall: null, steps: [], wanted: samples, running: true, done: 0, shown: samples };
    state.run = run;
    part("results").hidden = false;
    controls();
    say("Starting ...");
    const workers = await needWorkers(count, current);
    if (!current()) return;
    run.total = countWindows(image, samples);
    run.began = performance.now();
    const whileCurrent = (action) => (...news) => current() && action(...news); // prettier-ignore
    const hear = {
      window: () => progress(run),
      step: ({ step, t, x, x0Hat }) => {
        run.steps[step] = { t, x: shades(x, -2.5, 2.5), x0Hat: shades(x0Hat, BLACK, WHITE) };
        part("step").value = step + 1;
        showStep();
      },
      mean: (x0) => {
        run.oneCall = x0;
        showResult();
        say("The one-call mean is there; the samples follow.");
      },
      sample: (k, x0) => {
        run.samples[k] = x0;
        showResult();
        say(`${arrived().length} of ${samples} samples are there.`);
      },
    };
    for (const name of Object.keys(hear)) hear[name] = whileCurrent(hear[name]);
    const { grey, height, width } = image;
    await restoreInWorkers(workers, { grey, height, width }, { samples, seed: 0 }, hear);
    if (!current()) return;
    run.running = false;
    const took = minutes((performance.now() - run.began) / 1000);
    say(`Done: ${samples === 1 ? "one sample" : `${samples} samples`} in ${took}.`);
    controls();
  });
}

function stop() {
  state.attempt++;
  stopWorkers();
  if (state.run) state.run.running = false;
  say(arrived().length ? `Stopped with ${arrived().length} samples.` : "Stopped.");
  controls();
}

// --- Wiring.
for (const name of Object.keys(ENGINE.models)) part("model").add(new Option(name, name));
part("model").value = "generalist";
for (const name of Object.keys(EXAMPLES)) {
  const button = document.createElement("button");
  [button.type, button.textContent, button.onclick] = ["button", name, () => chooseExample(name)];
  part("examples").append(button);
}
part("file").onchange = ({ target }) => target.files.length && openFile(target.files[0]);
part("plane").onchange = () => attempt(choosePlane);
part("model").onchange = () => attempt(async (current) => (state.image ? showImage(state.image, current) : undefined));
part("samples").onchange = () => guard(tellCost);
part("start").onclick = start;
part("stop").onclick = stop;
part("step").oninput = showStep;
part("shown").oninput = () => {
  state.run.shown = Number(part("shown").value);
  showResult();
};
part("save-mean").onclick = () => save("mean");
part("save-std").onclick = () => save("std");
// A file may be dropped anywhere on the panel: elsewhere the browser would leave the page for it.
root.ondragover = (event) => {
  event.preventDefault();
  part("drop").classList.add("over");
};
root.ondragleave = () => part("drop").classList.remove("over");
root.ondrop = (event) => {
  event.preventDefault();
  part("drop").classList.remove("over");
  if (!event.dataTransfer.files.length) return;
  if (state.run?.running) say("Stop the restoration before you open another image.");
  else openFile(event.dataTransfer.files[0]);
};
say("Choose an image.");
controls();
