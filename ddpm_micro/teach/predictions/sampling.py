"""Chapter 6."""

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "recognised_first": Prediction(
        "Where will you recognise the filaments first, while the steps go on?",
        {
            "in the state": "The state is still mostly noise when the answer shows them: the network has the noisy "
            "micrograph to go by from the first step on.",
            "in the answer": "The network has the noisy micrograph to go by from the first step on. What comes with "
            "the steps is the detail that it has to decide.",
            "in both at once": "The answer is ahead: the network has the noisy micrograph to go by, while the state "
            "begins as pure noise.",
        },
        right="in the answer",
    ),
    "without_noise": Prediction(
        "What will the image be like without the fresh noise?",
        {
            "grainier": "The other way: noise that the network was promised and does not find looks to it like a "
            "smooth specimen.",
            "smoother": "A state without the promised noise looks to the network like one whose fine detail is "
            "already clear, and smooth.",
            "the same": "It changes: noise that the network was promised and does not find looks to it like a "
            "smooth specimen.",
            "still noise": "An image comes out. With too little noise in the states the network draws it too smooth.",
        },
        right="smoother",
    ),
    "crossing_paths": Prediction(
        "How often will two paths of DDIM cross?",
        {
            "as often as the ancestral ones": "An ancestral path is moved by fresh noise at each step. A DDIM path "
            "follows from where it is.",
            "now and then": "If two met, they would be at the same place at the same time, and so would have to go "
            "on together.",
            "never": "Each follows from where it is, so two that met would have to go on together.",
        },
        right="never",
    ),
    "half_and_half": Prediction(
        "What will the image from half of one start plus half of the other look like?",
        {
            "like two images on top of each other": "The network draws one image. It only finds less noise than it "
            "was promised, and takes that for smoothness.",
            "grainier than the others": "Less noise in the start means less grain: its variance is a half where the "
            "network expects 1.",
            "smoother than the others": "Its start has a variance of a half where the network expects 1, and too "
            "little noise is taken for smoothness.",
            "as good as the others": "Nearly, to the eye. But its start has a variance of a half where the network "
            "expects 1, and its edges are less steep.",
        },
        right="smoother than the others",
    ),
    "half_the_step": Prediction(
        "Steps half as long: by what will the errors of DDIM and of the second-order solver fall?",
        {
            "both to a half": "That is the rule for DDIM. Looking back cancels the error of first order, and what "
            "is left falls with the square of the step.",
            "to a half, to a quarter": "DDIM's error goes with the step, the other's with its square. At few steps "
            "the rule holds only roughly.",
            "both to a quarter": "That is the rule for the second-order solver. DDIM's error goes with the step "
            "itself.",
        },
        right="to a half, to a quarter",
    ),
    "enough_steps": Prediction(
        "From how many steps on do the filaments look as they do after 80?",
        {
            "2": "They are decided by the start and by the micrograph. What comes later is grain.",
            "10": "Fewer are enough for the filaments. At 10 the grain is still coming.",
            "40": "That is what the grain takes. The filaments are there at 2.",
        },
        right="2",
    ),
    "slip_seen": Prediction(
        "Which of the three results could you not take for a sample?",
        {
            "it stops before the last jump": "It leaves grain behind, which looks like that of a sample. With more "
            "steps it would be invisible.",
            "it is told the next step": "It leaves a little more grain, which looks like that of a sample.",
            "it begins too late": "Pure noise is taken for a half-finished image, and its clumps for part of the "
            "specimen: the background is mottled.",
            "all three": "Two of them only leave more grain, which looks like that of a sample.",
        },
        right="it begins too late",
    ),
    "flow_or_ddim": Prediction(
        "How far will the image of the straight path be from that of DDIM, with the same network, start and times?",
        {
            "another image altogether": "It is the same to rounding. The straight path is our path in other units, "
            "and the two kinds of step are one formula.",
            "alike, with other grain": "It is the same to rounding, grain included: nothing is drawn on the way, "
            "and the two kinds of step are one formula.",
            "the same to rounding": "The straight path is our path in other units. Both kinds of step keep the "
            "answer and the noise, and change their shares.",
        },
        right="the same to rounding",
    ),
}
