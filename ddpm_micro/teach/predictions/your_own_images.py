"""Chapter 9."""

from math import inf

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "let_pass": Prediction(
        "How many of the three will the package let pass?",
        {
            "none": "Each could end in a wrong image that looks right, or in the loss of one: so you have to say "
            "what you mean.",
            "one": "One may feel too strict, the image in colours perhaps. But its colours were mixed for show, so "
            "the channels themselves are asked for.",
            "two or three": "Each could end in a wrong image that looks right, or in the loss of one, and you would "
            "learn of it too late.",
        },
        right="none",
    ),
    "spread_of_16": Prediction(
        "How many times as large will the spread of the second image be?",
        {
            1: "It is in grey levels, and these are stretched 16 times. The spread is a difference of grey levels, "
            "so it is stretched with them.",
            4.5: "4 would be right for the shot noise of a camera with more light. Here the same image is written "
            "in other grey levels.",
            20: "A difference of two grey levels is stretched with them; the offset of 1000 cancels in it.",
            inf: "It is less: the offset of 1000 cancels in a difference of two grey levels, and only the factor of "
            "16 is left.",
        },
        right=16,
    ),
    "spread_in_a_seam": Prediction(
        "Tiles sampled one by one and then blended: which part of the true spread is left in the middle of a seam?",
        {
            0.6: "One half is left where four tiles meet. In the seam of two it is the root of 1/4 + 1/4.",
            0.85: "The mean of two independent draws has the root of 1/4 + 1/4 of the standard deviation of one.",
            1: "It would be so if both tiles were drawn with the same noise, or if the tiles lay inside the "
            "denoiser. Independent draws average out in the seam.",
            inf: "Less, not more: in the seam two independent draws are averaged.",
        },
        right=0.71,
    ),
    "bright_or_dark": Prediction(
        "Where will the error be larger, in grey levels?",
        {
            "in the dark parts": "As a share of the brightness it is much the same. In grey levels it is largest "
            "where it is bright: photons scatter by the root of their number.",
            "in the bright parts": "Light comes in photons, and their scatter grows with the light. As a share of "
            "the brightness it is much the same everywhere.",
            "the same in both": "The camera's read noise is the same everywhere. But most of the noise comes from "
            "counting photons, and that grows with the light.",
        },
        right="in the bright parts",
    ),
    "thirty_steps": Prediction(
        "Five fields, 30 steps: how many dB will the generalist gain on fields that it has not seen?",
        {
            0.3: "It is more. How noise looks the network knows already, and five fields can tell it that these "
            "structures are rings that stand alone.",
            2: "Little has to be learned anew. How noise looks the network knows, and five fields can tell it that "
            "these structures are rings that stand alone.",
            inf: "That would need more steps, or a specimen that the generalist gets altogether wrong. Rings are "
            "lines, and lines it knows.",
        },
        right=1,
        unit="dB",
    ),
    "easier_to_alarm": Prediction(
        "Which of the two will raise more alarms on these five?",
        {
            "the generalist": "It has met so many kinds of noise that few surprise it.",
            "the specialist": "It knows one kind of noise, so any other is strange to it. The generalist has met so "
            "many that few surprise it.",
            "both the same": "An alarm compares with the noise of the training. The specialist knows one kind of it, "
            "the generalist so many that few surprise it.",
        },
        right="the specialist",
    ),
    "largest_ratio": Prediction(
        "For which image will error / spread be largest?",
        {
            "known": "It is the smallest or nearly so: on what the model knows the spread is nearly honest.",
            "letters": "They look most foreign to you. But strokes are lines, which the network knows, and the "
            "spread grows with the error.",
            "saturated": "All samples agree on the dim image, since nothing in it says that light is missing: "
            "confident, and wrong.",
            "clumped": "The error is large, but the samples differ too: of clumped noise the spread does warn.",
        },
        right="saturated",
    ),
    "from_an_empty_field": Prediction(
        "What will this model draw from the smoothed noise of an empty field?",
        {
            "a flat grey": "That is what a perfect model would draw. This one has never met an empty field.",
            "something else in each sample": "So one would hope, since then the samples would warn. But all of them "
            "see the same clumps, and take these for structure.",
            "nearly the same threads in each sample": "All samples see the same clumps and take them for structure. "
            "So agreement is no proof.",
        },
        right="nearly the same threads in each sample",
    ),
    "half_a_spot": Prediction(
        "Half of the samples have a certain faint spot. How will it look in their mean?",
        {
            "as bright as in those samples": "The mean averages it with the background of the other half.",
            "half as bright": "It is averaged with the background of the other half, and may then fall below the "
            "threshold of a count.",
            "gone": "It stays, at half the brightness. Whether it is counted depends on the threshold.",
        },
        right="half as bright",
    ),
}
