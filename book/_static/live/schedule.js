// How much noise at which step (ddpm_micro/schedule.py). A schedule is the array of alpha_bar_t for t = 0..T-1, in
// x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps.

// `config` is the entry "schedule" of a model's JSON file: the cosine schedule of Nichol and Dhariwal 2021 (arXiv
// 2102.09672, eq. 17), each beta at most 0.999, or the linear one of Ho et al. 2020 (arXiv 2006.11239).
function alphasCumprod(config) {
  const T = config.num_train_timesteps;
  let betas;
  if (config.kind === "cosine") {
    const f = Array.from(
      { length: T + 1 },
      (_, i) => Math.cos(((i / T + config.s) / (1 + config.s)) * (Math.PI / 2)) ** 2,
    );
    betas = Array.from({ length: T }, (_, i) => Math.min(1 - f[i + 1] / f[i], 0.999));
  } else {
    const rise = (config.beta_end - config.beta_start) / Math.max(1, T - 1);
    betas = Array.from({ length: T }, (_, i) => config.beta_start + i * rise);
  }
  let product = 1;
  return betas.map((beta) => (product *= 1 - beta));
}

// Signal-to-noise ratio at step t of images with unit power.
const snr = (schedule, t) => schedule[t] / (1 - schedule[t]);

// `steps` steps from noise to image: evenly spaced, descending, the first is T - 1 (Lin et al. 2023, arXiv 2305.08891).
function timesteps(schedule, steps) {
  const T = schedule.length;
  return Array.from({ length: steps }, (_, i) => roundHalfToEven(T - i * (T / steps)) - 1);
}

// numpy rounds halves to the even neighbour, JavaScript rounds them up.
function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
