"""Chapter 10."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "activations": Prediction(
        "How many MB do the activations take, for a batch of 8 patches of 64 by 64 pixels?",
        {
            25: "It is more. Almost everything that is computed on the way is kept, for each of 33,000 pixels: 5 kB "
            "a pixel.",
            80: "The direction is right. About 5 kB are kept for each of 33,000 pixels.",
            350: "About 5 kB for each of 33,000 pixels, since almost everything that is computed on the way is kept.",
            inf: "It is less. About 5 kB are kept for each of 33,000 pixels.",
        },
        right=172,
        unit="MB",
    ),
    "paper_flops": Prediction(
        "How many times as much computing is a call of the article's network, for an image of 256 by 256 pixels?",
        {
            3: "It is more: it has four times the channels at full size, and more blocks.",
            20: "Most of the weights lie at the lowest level, where pixels are few; and at this size the attention "
            "of the small network is half of its work.",
            50: "It is less. Most of the weights lie at the lowest level, and there pixels are few.",
            inf: "67 times would be right if each weight were used equally often. Most of them lie at the lowest "
            "level, where pixels are few.",
        },
        right=9,
    ),
}
