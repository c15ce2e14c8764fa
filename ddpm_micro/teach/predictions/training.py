"""Chapter 5."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "all_directions": Prediction(
        "How would you tell the network that membranes run in all directions, with the images that you have?",
        {
            "with a network that cannot tell directions apart": "Such networks exist, and they lose something: at a "
            "filament the direction matters. Turned copies of the images teach the same, and cost nothing.",
            "by turning and flipping the images": "Each of the eight ways to lay a square down is an image that "
            "could have been taken.",
            "it finds out by itself, if it trains for long": "Not from these images alone: what they do not show, "
            "no number of steps teaches.",
        },
        right="by turning and flipping the images",
    ),
    "first_loss": Prediction(
        "Where does the loss start?",
        {
            0.3: "It is higher: the answer is zero, so the loss is the mean square of v, and most of v is noise of "
            "mean square 1.",
            0.95: "The mean square of v: most of it is noise of mean square 1, the rest are patches, which have a "
            "smaller one.",
            1.05: "Nearly. It would be 1 if the patches had the mean square of the noise; theirs is smaller.",
            inf: "It is lower: v is a mixture whose squared factors add up to 1, of noise of mean square 1 and of "
            "patches of a smaller one.",
        },
        right=0.75,
    ),
    "best_decay": Prediction(
        "Which decay gives the average that is nearest to 0, from step 200 on?",
        {
            "0.5": "It averages over two steps, and most of the noise remains.",
            "0.9": "It averages over ten steps. The noise of this weight goes on for about twenty, so it is worth "
            "averaging over more.",
            "0.98": "It averages over fifty steps: enough for the noise, and the start at 3 has long been forgotten.",
            "0.998": "It averages over five hundred steps, and only 400 are made: it still remembers the start at 3.",
        },
        right="0.98",
    ),
    "first_samples": Prediction(
        "What will the first samples look like?",
        {
            "black": "Black is -1 in network values. The answer zero is one for v, not for the image.",
            "an even grey": "It would be so if the network predicted the image. It predicts v, and v = 0 stands for "
            "an image that is x_t, turned down.",
            "noise": "v = 0 stands for an image that is x_t, turned down. So the sampler takes its own noise for "
            "the image.",
            "the noisy frame": "That comes later. At first the answer is zero, whatever the frame.",
        },
        right="noise",
    ),
    "learned_first": Prediction(
        "What does the network learn first?",
        {
            "the brightness of large areas": "It seems natural, but there is something easier: to pass on the frame "
            "that it is shown, with all of its noise.",
            "to pass on what it is shown": "The frame is an input, and to copy it is the easiest thing that lowers "
            "the loss much. The noise is left out later.",
            "to draw membranes": "That is the last and hardest part. The easiest is to copy the frame that it is "
            "shown.",
        },
        right="to pass on what it is shown",
    ),
    "after_resuming": Prediction(
        "How many of the weights will differ from those of a training without a stop?",
        {
            "all, by a little": "It is so in many codes, and nobody notices. Here all that a step depends on was "
            "saved, and random numbers follow from the seed and the step.",
            "a few": "If anything differed, everything would after some steps, since each step depends on all weights.",
            "none": "Weights, averages, the optimizer's state and the step number were saved, and random numbers "
            "follow from the seed and the step.",
        },
        right="none",
    ),
}
