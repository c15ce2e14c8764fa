"""Chapter 2."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "cells_gone": Prediction(
        "At which step t, of 0 to 199, will you lose the last trace of the pattern of cells?",
        {
            100: "It lasts longer. At t = 100 there is as much noise as image in each pixel, but the eye averages "
            "over patches, and over a patch the noise averages out.",
            130: "A little longer. A cell is 26 pixels wide, and over so many pixels the noise averages out.",
            175: "A cell is 26 pixels wide. The power of the image at that period goes below the noise near t = 150.",
            inf: "It is gone sooner. At t = 180 only 2 % of the variance of x_t comes from the image, and "
            "noise covers even coarse structure.",
        },
        right=150,
    ),
    "linear_half_way": Prediction(
        "After which part of the way does the linear schedule reach equal signal and noise?",
        {
            "a tenth": "A little later than that; but you saw that it drowns images too fast.",
            "a quarter": "So three quarters of its steps go to images in which little can be seen.",
            "half": "That is the cosine schedule. Linear refers to the noise of a single step; over many steps the "
            "signal falls as a product, and that is fast.",
            "three quarters": "The other way round: the signal is multiplied by a factor at each step, and it falls "
            "fast.",
        },
        right="a quarter",
    ),
    "error_of_eps": Prediction(
        "The network's eps is wrong by 0.001. By how much is the x0 that is computed from it wrong at t = 199?",
        {
            0.01: "It would be so from v. From eps the error is divided by the signal rate, which is 1/4058 in the "
            "table above.",
            1: "The direction is right, the size is larger: 0.001 is multiplied by the 4058 of the table above.",
            10: "0.001 times the 4058 of the table above: twice what the whole image spans.",
            inf: "Somewhat less: 0.001 times the 4058 of the table above.",
        },
        right=4,
    ),
}
