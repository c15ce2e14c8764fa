// A trained model: network, schedule and scaling, from its two files (ddpm_micro/model.py).

const EPS_LIMIT = 3; // x0_hat of a model that predicts eps is held in [-3, 3]

// `description` is the model's JSON file. The model's `denoise(x_t, cond, t, height, width)` returns x0_hat of a window.
function makeModel(kernels, weights, description) {
  const schedule = alphasCumprod(description.schedule);
  const unet = makeUnet(kernels, readSafetensors(weights), description.unet);
  const { prediction, percentiles } = description;

  function denoise(xt, cond, t, height, width) {
    const signalRate = Math.sqrt(schedule[t]);
    const noiseRate = Math.sqrt(1 - schedule[t]);
    // The network sees x_t turned down by the signal rate, the best linear estimate of x0 from x_t alone. Only eps, which
    // is nearly x_t itself at t = T, has to be found in x_t as it is.
    const seen = prediction === "eps" ? xt : xt.map((value) => signalRate * value);
    const output = unet(seen, Math.log(snr(schedule, t)) / -8, cond, height, width);
    if (prediction === "x0") return output;
    if (prediction === "v") return output.map((v, i) => signalRate * xt[i] - noiseRate * v);
    return output.map((eps, i) => Math.min(Math.max((xt[i] - noiseRate * eps) / signalRate, -EPS_LIMIT), EPS_LIMIT));
  }

  return { schedule, denoise, fit: (grey, height, width) => fitScaling(grey, height, width, percentiles) };
}

// One image being restored: its scaling, and the two questions that can be put to the model.
// `callWindow()` is called after each call of the network on one window.
function makeRestoration(model, grey, height, width, callWindow = () => {}) {
  const scaling = model.fit(grey, height, width);
  const cond = toValues(scaling, height, width);
  const denoise = tiled(
    (...window) => {
      const x0Hat = model.denoise(...window);
      callWindow();
      return x0Hat;
    },
    cond,
    height,
    width,
  );
  return {
    scaling,
    // Sample k: its noise depends on (seed, k) alone. The result is in network values.
    sample: (seed, k, callback) =>
      sampleDpmpp2m(denoise, model.schedule, normalNoise(height * width, seed, k), { callback }),
    // E[clean image | image] from one call at t = T, where x_t is noise and tells nothing.
    posteriorMean: (seed) => denoise(normalNoise(height * width, seed, 0), model.schedule.length - 1),
  };
}
