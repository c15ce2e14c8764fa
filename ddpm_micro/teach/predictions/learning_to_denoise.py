"""Chapter 3."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "line_of_the_point": Prediction(
        "x_t is known. On which line must the point then lie?",
        {
            "straight up and down": "Along that line the clean value is fixed. It is what would be left to find if "
            "x_t were x0, which it is only where there is no noise.",
            "from left to right": "Along that line the noise is fixed. It is what would be left to find if x_t were "
            "pure noise, as at the last step.",
            "along the axis of x_t": "Along that axis x_t itself changes, and x_t is what is known.",
            "at right angles to the axis of x_t": "All points of that line have the same foot on the axis, so the "
            "same x_t.",
        },
        right="at right angles to the axis of x_t",
    ),
    "v_or_eps": Prediction(
        "Both outputs may be off by 0.1. Which leaves x0 less certain?",
        {
            "v": "v is at right angles to what is already known, so its band cuts the line of x_t in the shortest "
            "piece.",
            "eps": "x_t says already almost what eps says. The band of eps runs nearly along the line of x_t, and "
            "they share a long piece.",
            "both alike": "They are one answer in two forms, but the same error has another effect: what matters is "
            "the angle between the band and the line of x_t.",
        },
        right="eps",
    ),
    "best_number": Prediction(
        "Which single answer, from -1 to 1, has the smallest mean squared error over these pixels?",
        {
            0.35: "It is higher: three quarters of the pixels are at 1, and each of them pulls.",
            0.65: "It is their mean: three quarters of 1 and one quarter of -1.",
            0.95: "It is lower. The quarter that is dark lies far away from such an answer, and distances are squared.",
            inf: "1 is right for most pixels. But where it is wrong it is wrong by 2, and squared that is 4. The "
            "best answer is the mean.",
        },
        right=0.49,
    ),
    "second_of_five": Prediction(
        "The exact denoiser has the least loss. Which of the other four comes second?",
        {
            "ignores the camera": "Far behind. In strong noise the camera is all there is to go by.",
            "ignores x_t": "The last of all. In weak noise x_t settles the matter, and there an error of x0 counts "
            "most for v.",
            "says the likelier": "It is right more often than any other, and where it is wrong it is wrong by 2. "
            "Yet in weak noise it is exactly right, and there the loss of v is most severe.",
            "nine tenths of exact": "It looks harmless, but it is off by a tenth even where x_t has settled the "
            "matter, and there an error of x0 counts most for v.",
        },
        right="says the likelier",
    ),
    "share_of_bright": Prediction(
        "How many percent of the samples for a camera value of 0.3 will end near 1?",
        {
            45: "It is more than half: a camera value above 0 speaks for bright.",
            59: "A little more. By Bayes' rule the odds of bright are exp(0.6), which is 1.8 to 1.",
            72: "The mean 0.29 is p - (1 - p), so p = 65 %. By Bayes' rule the odds are exp(0.6), or 1.8 to 1.",
            inf: "It is less. The camera's noise is as large as 1, so 0.3 is weak evidence: odds of 1.8 to 1.",
        },
        right=65,
        unit="%",
    ),
    "price_of_a_sample": Prediction(
        "The mean squared error of one sample is how many times the error of the one call?",
        {
            0.99: "No single answer has less error than the mean. The sample looks right, but it is not closer.",
            1.4: "It is more: the sample scatters about the mean as widely as the truth does, independently of it.",
            2.8: "The truth is off from the mean by its own chance, the sample by another chance of the same size. "
            "Variances add.",
            inf: "It is less. The sample scatters as widely as the truth about the same mean. Two equal variances "
            "add, and that is twice one.",
        },
        right=2,
    ),
}
