// What a worker does, on top of the engine: it answers one message after the other. While it works on an answer it sends
// news: a window that is done, or a step of a sample.

let model, kernels, restoration;

const answers = {
  async load({ binaries, weights, description }) {
    kernels = await loadKernels(binaries);
    model = makeModel(kernels, weights, description);
    return {};
  },
  // Seconds of one call of the network on a window, and the memory it took. The first call is slower: the browser compiles.
  time({ height, width }) {
    const noise = normalNoise(height * width, 0);
    model.denoise(noise, noise, 100, height, width);
    const start = performance.now();
    model.denoise(noise, noise, 100, height, width);
    return { seconds: (performance.now() - start) / 1000, bytes: kernels.bytes() };
  },
  image({ grey, height, width }) {
    restoration = makeRestoration(model, grey, height, width, () => postMessage({ news: "window" }));
    return {};
  },
  mean({ seed }) {
    return { x0: restoration.posteriorMean(seed) };
  },
  sample({ seed, k }) {
    const tell = (step, t, x, x0Hat) => postMessage({ news: "step", step, t, x, x0Hat });
    return { x0: restoration.sample(seed, k, k === 0 ? tell : undefined) };
  },
};

onmessage = async ({ data }) => {
  try {
    postMessage({ answer: await answers[data.ask](data) });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
};
