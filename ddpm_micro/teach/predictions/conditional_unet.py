"""Chapter 4."""

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "field_with_attention": Prediction(
        "How wide is the field of the U-Net with attention, in an image of 160 pixels?",
        {
            "as wide as without": "Attention looks at all pixels of its level, and these come from the whole image.",
            "twice as wide as without": "Further: attention has no width. It takes a mean over all pixels of its "
            "level, near or far.",
            "the whole image": "Attention takes a mean over all pixels of its level, near or far, and these come "
            "from the whole image.",
        },
        right="the whole image",
    ),
    "lowest_skips": Prediction(
        "What will be missing in the image without the skips of the lowest level?",
        {
            "the overall brightness": "It stays: it comes up from below all the same. The skips of the lowest level "
            "carry which lines are there.",
            "the faint lines": "Whether a faint line is real can only be said from afar, which is where the lowest "
            "level looks from.",
            "the finest detail": "That belongs to the skips of the highest level. At the lowest a pixel stands for "
            "4 by 4.",
            "nothing much": "It does change: the faint lines go. Whether such a line is real can only be said from "
            "afar.",
        },
        right="the faint lines",
    ),
    "a_or_b": Prediction(
        "x_t is made of A, the micrograph shows B. Which image comes at t = 199, and which at t = 20?",
        {
            "A, then A": "At t = 199 nothing of A is left in x_t. The network can only follow the micrograph.",
            "B, then B": "At t = 20 the image can be read off x_t, and the network does; the micrograph is much "
            "noisier than that.",
            "B, then A": "It follows whichever of the two holds more. Nobody told it; it was given the noise level "
            "and learned the rest.",
            "a mixture both times": "A mixture comes in between, near t = 60. At the ends one of the two holds much "
            "more than the other.",
        },
        right="B, then A",
    ),
    "flat_alpha_bar": Prediction(
        "Where along the way does alpha_bar hardly change from one step to the next?",
        {
            "at the beginning": "There, and at the end as well: it runs along a cosine squared, which is flat at both.",
            "in the middle": "There it falls fastest. It runs along a cosine squared, which is flat at both ends.",
            "at the end": "There, and at the beginning as well: it runs along a cosine squared, which is flat at both.",
            "at both ends": "It runs along a cosine squared. And at both ends the noise changes by large factors, "
            "which alpha_bar does not show.",
        },
        right="at both ends",
    ),
    "size_at_the_end": Prediction(
        "By what factor, up or down, can ordinary layers have changed the size of the numbers at the end?",
        {
            "hardly at all": "Layers of PyTorch shrink what they are given, or sums make it grow; over six blocks "
            "that adds up to a factor of 6 or of 50.",
            "2 to 4": "More: factors of a block multiply. Down by 6 with one usual start, up by 50 with another.",
            "6 to 50": "Factors of a block multiply: down by 6 with one usual start, up by 50 with another.",
            "more than 1000": "Not with six blocks; with a hundred it would be far more.",
        },
        right="6 to 50",
    ),
    "share_of_gradient": Prediction(
        "Which of the two has the larger share of the gradient, x_t or the micrograph?",
        {
            "always x_t": "At t = 199 x_t is pure noise. To follow it would be a mistake, and the network has "
            "learned not to.",
            "always the micrograph": "In weak noise x_t shows the image better than the micrograph does.",
            "the micrograph at 199, x_t at the end": "The network looks where there is something to be seen: in "
            "weak noise that is x_t, mostly at the pixel itself.",
            "x_t at 199, the micrograph at the end": "The other way round: at t = 199 x_t is pure noise, and at the "
            "end it is nearly the image.",
        },
        right="the micrograph at 199, x_t at the end",
    ),
    "where_the_work_is": Prediction(
        "Which level of the micro network has most of the weights, and which most of the computing?",
        {
            "lowest, top": "The weights are right. Of the computing the lowest level has most too, but by less: the "
            "top has few channels and many pixels.",
            "lowest, lowest": "Its many channels make most of both. Three quarters of the weights, but less than "
            "half of the computing.",
            "top, lowest": "The top has few channels, and weights go with channels.",
            "top, top": "The top has many pixels, but few channels. Weights go with channels alone, computing with "
            "both.",
        },
        right="lowest, lowest",
    ),
}
