"""Chapter 0."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "gain_of_15": Prediction(
        "The mean of 15 independent frames has a PSNR that is 11.8 dB higher than that of one frame. How many dB "
        "does the mean of 15 samples gain over one sample?",
        {
            0.5: "It is more: the samples do differ, and what they differ in averages out.",
            3.01: "Samples of a perfect model would gain 2.7 dB. These are somewhat too much alike, and gain less.",
            11: "It is less. All samples are drawn from one noisy frame, so they share what this frame does not "
            "tell, and no mean removes that. Even the samples of a perfect model would gain only 2.7 dB.",
            inf: "11.8 dB would be right for frames, each of which brings light of its own. Samples bring no new "
            "light: all are drawn from one frame, and they share what this frame does not tell.",
        },
        right=1.5,
        unit="dB",
    ),
}
