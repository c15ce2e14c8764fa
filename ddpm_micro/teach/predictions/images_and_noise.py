"""Chapter 1."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "first_filament": Prediction(
        "With how many photons at the brightest pixel will you first see a filament?",
        {
            "1": "Too few for most: a single count may lie anywhere. But look again, a line of such counts begins "
            "to show.",
            "5": "The eye averages along a line, so it finds a filament where no single pixel says much.",
            "50": "It takes fewer. The eye does not look at single pixels but averages along a line. About 50 is "
            "what it takes to count the filaments.",
            "500": "Far fewer are enough. With 500 the grain is hardly seen any more; the eye finds a line in "
            "strong grain, since it averages along it.",
        },
        right="5",
    ),
    "variance_scatter": Prediction(
        "By how many percent does the variance of a single pixel, measured from 200 frames, scatter?",
        {
            3: "It is more. A mean settles that fast, a variance does not: from n frames it scatters by the root of "
            "2 / (n - 1).",
            20: "The root of 2/199 is 0.10. To know a variance to 1 % takes 20,000 frames, or many pixels that "
            "share one.",
            inf: "It is less: from n frames a variance scatters by the root of 2 / (n - 1), which is 10 % for 200.",
        },
        right=10,
        unit="%",
    ),
    "share_of_light": Prediction(
        "A film of 100 images is made with the light of one. By how many dB is the PSNR of each lower?",
        {
            5: "It is more. A hundredth of the photons means a hundred times the squared error, relative to the "
            "squared range.",
            15: "10 dB is the price of ten images. A hundred cost 10 dB twice.",
            30: "Each has a hundredth of the photons, so relative to the range a hundred times the mean squared "
            "error: 10 log10 of 100.",
            inf: "It is less. 40 dB would be right if the error itself grew a hundredfold. Its square does.",
        },
        right=20,
        unit="dB",
    ),
    "trusted_least": Prediction(
        "Which of the four would you trust least?",
        {
            "noisy": "It is ugly and honest: all filaments and all ends are there, and its grain warns you.",
            "blurred": "It cannot tell close filaments apart, but you see that it is blurred, and no end has been "
            "made up.",
            "brighter": "It is the best of the four for this question: subtract one number, and it is the truth.",
            "broken": "It looks perfect, and it has two ends that do not exist. All numbers are pleased with it.",
        },
        right="broken",
    ),
    "resolution_of_nothing": Prediction(
        "What resolution is reported for the smoothed frame of nothing?",
        {
            "none, since it holds no structure": "So it should be, and so it is before smoothing. But smoothed "
            "noise is alike in neighbouring pixels, and the method takes that for structure.",
            "coarser than the truth's": "Smoothing makes an image coarser, but the reported number becomes finer: "
            "the method takes smoothed noise for structure.",
            "finer than the truth's": "The finest of all. The method takes noise to differ from pixel to pixel, so "
            "smoothed noise passes for structure.",
        },
        right="finer than the truth's",
    ),
}
