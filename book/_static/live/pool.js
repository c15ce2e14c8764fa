// Workers: the network runs beside the page, on several cores, so that the page answers while it works.

// A worker is made of text, since a page that was opened as a file may not start one by its address.
function startWorker(code) {
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  return {
    ask: (question, message = {}, hear = () => {}) =>
      new Promise((resolve, reject) => {
        worker.onerror = (event) => reject(new Error(event.message || "a worker could not start"));
        worker.onmessage = ({ data }) => {
          if (data.news) hear(data);
          else if (data.error) reject(new Error(data.error));
          else resolve(data.answer);
        };
        worker.postMessage({ ask: question, ...message });
      }),
    stop: () => worker.terminate(),
  };
}

// Restore an image: the one-call mean first, then the samples, each by the next worker that is free. What comes is handed to
// `hear.window()`, `hear.step(news)`, `hear.mean(x0)` and `hear.sample(k, x0)`.
async function restoreInWorkers(workers, image, { samples, seed }, hear) {
  await Promise.all(workers.map((worker) => worker.ask("image", image)));
  const news = (data) => hear[data.news](data);
  let next = -1; // the number of the next sample; before the first comes the mean
  const work = async (worker) => {
    while (next < samples) {
      const k = next++;
      if (k < 0) hear.mean((await worker.ask("mean", { seed }, news)).x0);
      else hear.sample(k, (await worker.ask("sample", { seed, k }, news)).x0);
    }
  };
  await Promise.all(workers.map(work));
}

// How many network calls on windows a restoration takes.
function countWindows({ height, width }, samples, steps = 10) {
  return windows(height, TILE).length * windows(width, TILE).length * (1 + samples * steps);
}

// What a restoration takes on this device: { workers, bytes, seconds }. `one` is a timed call, see worker.js. The fewer
// workers, the less memory; with one it may still be too much, which is refused.
function plan(image, samples, one, device = navigator) {
  const size = image.height * image.width;
  const limit = ((device.deviceMemory ?? 4) / 4) * 1e9; // a quarter of the device's, which not all browsers tell
  const bytes = (workers) => workers * (one.bytes + 40 * size) + (4 * samples + 80) * size;
  let workers = Math.min(device.hardwareConcurrency || 1, samples, 8);
  while (workers > 1 && bytes(workers) > limit) workers--;
  const megabytes = (count) => `${Math.round(count / 1e6)} MB`;
  expect(
    bytes(workers) <= limit,
    `at most ${megabytes(limit)} of memory`,
    megabytes(bytes(workers)),
    "draw fewer samples or crop",
  );
  return { workers, bytes: bytes(workers), seconds: (one.seconds * countWindows(image, samples)) / workers };
}
