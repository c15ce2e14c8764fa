"""Chapter 8."""

from ddpm_micro.teach.prediction import Prediction

PREDICTIONS = {
    "widest_filter": Prediction(
        "Which set will want the widest filter?",
        {
            "microtubules": "Their lines are thin, and a wide filter would merge them.",
            "mitochondria": "They have the fewest photons, so more pixels must be averaged to get rid of the noise.",
            "synapses": "They are small spots, and a wide filter would flatten them.",
            "zebrafish": "Their noise is weaker than that of the mitochondria, which have the fewest photons.",
        },
        right="mitochondria",
    ),
    "hardest_set": Prediction(
        "On which set will even the best method end at the lowest PSNR?",
        {
            "microtubules": "Seventeen times the light in the clean image makes them look hard, but their low image "
            "has more photons than that of the mitochondria.",
            "mitochondria": "They have the fewest photons: they start lowest and end lowest.",
            "synapses": "They have blur as well as noise, and the gain over the noisy image is small. But they "
            "start from a much better image.",
            "zebrafish": "Single frames are grainy, but large smooth cells are easy to restore.",
        },
        right="mitochondria",
    ),
    "part_of_the_quarter": Prediction(
        "How much of the quarter of a decibel by which CARE is ahead does V/15 explain?",
        {
            "hardly any": "Nearly all of it. A fifteenth sounds small, but it is a fifteenth of a variance nearly "
            "as large as B.",
            "about half": "More: nearly all of it. What is left is the difference of the two networks.",
            "nearly all": "So the two networks have learned nearly the same mean, and averaging fifteen samples "
            "only comes near it.",
        },
        right="nearly all",
    ),
    "suffers_more": Prediction(
        "Which of the two suffers more from fewer steps, and which more from the lower rate?",
        {
            "CARE, from both": "After 6000 steps it is as good at either rate. To find the mean alone takes less "
            "learning.",
            "the diffusion model, from both": "To denoise at every level of noise takes more learning than to find "
            "the mean alone.",
            "CARE from fewer steps, the diffusion model from the rate": "The rate is right. But fewer steps hurt "
            "the diffusion model more as well: it has every level of noise to learn.",
            "the diffusion model from fewer steps, CARE from the rate": "The steps are right. But CARE is as good "
            "at either rate in the end.",
        },
        right="the diffusion model, from both",
    ),
    "likes_one_draw": Prediction(
        "Which measure will like one draw better than the mean of 15?",
        {
            "MAE": "It is a distance, and the mean is closer to the truth than any draw.",
            "MS-SSIM": "It looks at structure, yet it compares with the truth pixel by pixel, and there a draw "
            "makes choices that are wrong.",
            "Pearson r": "It is blind to brightness and contrast, but noise in a draw lowers it.",
            "spectrum": "It asks how much there is at each fineness, not whether it is at the right place, and the "
            "mean has lost the fine part.",
        },
        right="spectrum",
    ),
    "missing_spread": Prediction(
        "How much of the spread that is missing at 20 steps will 80 steps bring?",
        {
            "none": "More steps bring much of it: the last jump of the sampler smooths away what is smaller than "
            "the noise it starts from.",
            "about two thirds": "V/B rises from 0.77 to 0.92 on average. What is still missing is mostly the "
            "network's part.",
            "all": "Not all: a network that is a little too sure, or a little wrong, keeps V/B below 1 with any "
            "number of steps.",
        },
        right="about two thirds",
    ),
}
