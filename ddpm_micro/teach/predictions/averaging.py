"""Chapter 7."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "frames_or_samples": Prediction(
        "Which mean is closer to the image with 17 times the light?",
        {
            "the mean of 16 frames": "Sixteen frames hold sixteen times the light. What the model has learned from "
            "other images makes up for most of that, here not for all.",
            "the mean of 16 samples": "The samples look better one by one. But all were drawn from one frame, and what "
            "the model has learned makes up for most of the missing light here, not for all.",
            "both alike": "Nearly. What the model has learned makes up for most of the missing light here; with less "
            "light it can make up for more.",
        },
        right="the mean of 16 frames",
    ),
    "half_of_the_gain": Prediction(
        "How many exact samples does it take for half of all the gain in dB that averaging them can ever bring?",
        {
            1.9: "One sample gains nothing, by definition. Two exact ones gain 1.25 dB of 3.01, three 1.76.",
            4: "Two exact samples gain 1.25 dB of the 3.01 that are possible, three 1.76. What is left comes ever "
            "more slowly.",
            20: "Fewer. Three exact samples gain 1.76 dB of the 3.01 that are possible.",
            inf: "Far fewer. For frames there is no end to the gain and so no half of it; for samples the end is at "
            "3.01 dB, and three have more than half.",
        },
        right=3,
    ),
    "right_end": Prediction(
        "Where does the line of exact samples with the same B end on the right, at one sample?",
        {
            "at B": "B is what is left of the error with infinitely many samples. One sample has V on top.",
            "at 2 B": "For exact samples V and B are the same, and one sample has B + V.",
            "where our line ends": "It would if our samples were exact. For exact ones V is as large as B.",
            "at 4 B": "B + V, and for exact samples V is as large as B. Squared errors add, not their roots.",
        },
        right="at 2 B",
    ),
    "more_steps": Prediction(
        "From 10 steps to 40: which of B and V will change much?",
        {
            "B falls": "The mean of the samples is as good with ten steps as with forty. What the few steps lose is "
            "the spread.",
            "V grows": "The last step smooths away what is finer than the noise it starts from, and with more steps "
            "that noise is smaller.",
            "both": "B hardly moves: the mean of the samples is as good with ten steps. V grows.",
            "neither": "V grows: the last step smooths away what is finer than the noise it starts from, and with "
            "more steps that noise is smaller.",
        },
        right="V grows",
    ),
    "mean_of_a_pair": Prediction(
        "Which point of the triangle would the mean of such a pair be?",
        {
            "the point K = 2": "That is for two independent samples. Here the part that turns its sign cancels "
            "completely.",
            "the corner m": "The two lie on opposite sides of the corner, equally far, so their mean is the corner.",
            "the truth": "Nothing that is drawn from the frame knows the way along the upright leg.",
        },
        right="the corner m",
    ),
    "place_of_one_call": Prediction(
        "Compared with one sample, the mean of 16 and the mean of infinitely many: where will one call come?",
        {
            "level with one sample": "A sample has twice the squared error, since it makes choices. The one call "
            "makes none.",
            "between one sample and the mean of 16": "It is better: the mean of 16 still has a sixteenth of V on top.",
            "level with infinitely many samples": "Both are estimates of the corner m, one by averaging and one at "
            "once.",
            "better than all": "It cannot be better than the corner, and the mean of infinitely many exact samples "
            "is the corner.",
        },
        right="level with infinitely many samples",
    ),
    "where_spectra_part": Prediction(
        "At which frequencies will the power of the samples and the power of their mean differ?",
        {
            "at the low ones": "Those are large structures, in which all samples agree; so their mean keeps them.",
            "at the high ones": "In fine detail the samples disagree, and what they disagree on cancels in their mean.",
            "at all alike": "What samples agree on stays in their mean: that is the coarse structure. Fine detail "
            "cancels.",
        },
        right="at the high ones",
    ),
    "coverage_of_90": Prediction(
        "In how many percent of the pixels will the 90 % interval hold the truth?",
        {
            60: "It is more: the spread is too small, but not by so much.",
            84: "The samples are somewhat too much alike, so the intervals are too narrow.",
            94: "It would be so for exact samples. You have seen that V/B is below 1, so these intervals are too "
            "narrow.",
            inf: "The interval would have to be too wide for that. V/B is below 1, so it is too narrow.",
        },
        right=75,
        unit="%",
    ),
}
