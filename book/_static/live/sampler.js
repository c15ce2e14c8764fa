// From noise to an image, and from several images to their mean and spread (ddpm_micro/samplers.py and restore.py).
// A sampler knows a schedule and a denoiser: a function (x_t, t) -> x0_hat of arrays of pixels. The condition, the noisy
// image, is already inside the denoiser.

// DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2). The first step and the last, which lands on the clean
// image, are of first order, the others of second. `callback(step, t, x, x0Hat)` is called after each step.
function sampleDpmpp2m(denoise, schedule, noise, { steps = 10, callback = () => {} } = {}) {
  const lambda = (t) => Math.log(snr(schedule, t)) / 2;
  const times = [...timesteps(schedule, steps), -1];
  let x = noise;
  let previous = null; // x0_hat and the width of the step before
  for (let step = 0; step < steps; step++) {
    const [t, s] = [times[step], times[step + 1]]; // the step leads from time t to the earlier time s
    const x0Hat = denoise(x, t);
    if (s < 0) {
      x = x0Hat;
    } else {
      const h = lambda(s) - lambda(t);
      const ahead = previous ? h / previous.h / 2 : 0;
      const earlier = previous ? previous.x0Hat : x0Hat;
      const ofX = Math.sqrt((1 - schedule[s]) / (1 - schedule[t]));
      const ofX0 = -Math.sqrt(schedule[s]) * Math.expm1(-h);
      x = x.map((value, i) => ofX * value + ofX0 * (x0Hat[i] + ahead * (x0Hat[i] - earlier[i])));
      previous = { x0Hat, h };
    }
    callback(step, t, x, x0Hat);
  }
  return x;
}

// Mean and standard deviation over samples, in grey levels, by Welford's running sums. The standard deviation of one sample
// is not a number.
function meanAndStd(samples, scaling) {
  const size = samples[0].length;
  const mean = new Float64Array(size);
  const deviations = new Float64Array(size);
  samples.forEach((sample, k) => {
    const grey = toGrey(scaling, sample);
    for (let i = 0; i < size; i++) {
      const before = grey[i] - mean[i];
      mean[i] += before / (k + 1);
      deviations[i] += before * (grey[i] - mean[i]);
    }
  });
  const std = deviations.map((sum) => (samples.length > 1 ? Math.sqrt(sum / (samples.length - 1)) : NaN));
  return { mean, std };
}
