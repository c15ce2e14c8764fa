"""Each check knows the right answer and each usual wrong one, and survives any function."""

import ast
import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from ddpm_micro import metrics
from ddpm_micro.schedule import cosine_schedule, q_sample
from ddpm_micro.teach import checks, values

MISTAKES = [(name, mistake) for name, exercise in checks.EXERCISES.items() for mistake in exercise.mistakes]


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_the_right_answer_passes(name: str) -> None:
    verdict = getattr(checks, name)(checks.answer(name))
    assert verdict.passed and verdict.attempted and "right" in checks.progress()
    assert len(checks.EXERCISES[name].mistakes) >= 3 and checks.hint(name)


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_the_solution_is_what_a_student_would_write(name: str) -> None:
    source = checks.solution(name)
    tree = ast.parse(source)
    assert "self" not in source and "weight:" not in source and "->" not in source
    assert not any(isinstance(node, (ast.Raise, ast.AnnAssign)) for node in ast.walk(tree))
    assert all(len(function.body) <= 6 and not ast.get_docstring(function) for function in tree.body)


def test_an_answer_is_the_packages_own_function() -> None:
    """At least 20: a formula that is taught stands in the package once, where the package uses it."""
    own = {
        name
        for name, exercise in checks.EXERCISES.items()
        if "teach" not in (exercise.shown or (exercise.answer,))[0].__module__
    }
    assert len(own) >= 20, set(checks.EXERCISES) - own


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_each_usual_mistake_is_told_by_its_name(name: str, mistake: str) -> None:
    wrong, sentence = checks.EXERCISES[name].mistakes[mistake]
    verdict = getattr(checks, name)(wrong)
    assert not verdict.passed and verdict.mistake == mistake and verdict.message == sentence


@pytest.mark.parametrize("name", checks.EXERCISES)
@pytest.mark.parametrize(
    ("student", "says"),
    [
        (lambda *_: None, "Not attempted"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda: 1, "arguments"),
        (lambda *_: "text", "returns text"),
        (lambda *_: object(), "got object"),
        (lambda *_: np.zeros((2, 17)), "got shape"),
    ],
)
def test_any_function_gets_an_answer(name: str, student: object, says: str) -> None:
    verdict = getattr(checks, name)(student)
    assert not verdict.passed and says in verdict.message
    assert verdict.attempted == (says != "Not attempted")


def test_nan_changed_inputs_and_other_values_are_told() -> None:
    def changes(schedule, x0, t, eps):
        right = checks.answer("q_sample")(schedule, x0, t, eps)
        x0 += 1
        return right

    assert "NaN" in checks.q_sample(lambda s, x0, t, eps: x0 * np.nan).message
    assert "changes `x0` in place" in checks.q_sample(changes).message
    assert "differ by up to" in checks.snr(lambda alpha_bar: alpha_bar.exp().cos()).message


def test_right_for_the_first_arguments_alone_is_not_right() -> None:
    def always_flips(x0, cond, turns, flip):
        return checks.answer("augment")(x0, cond, turns, True)

    def nothing_without_flip(x0, cond, turns, flip):
        return checks.answer("augment")(x0, cond, turns, True) if flip else None

    for student in (always_flips, nothing_without_flip):
        assert not checks.augment(student).passed


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_no_two_mistakes_agree_in_all_trials(name: str) -> None:
    """Nor a mistake and the answer: else a check would blame the wrong thing, or let a mistake pass."""
    exercise = checks.EXERCISES[name]
    trials = len(exercise.inputs())
    assert trials >= 2
    asked = [values.parts(exercise.right(*given)) for given in exercise.inputs()]
    results = {"the answer": asked}
    for mistake, (wrong, sentence) in exercise.mistakes.items():
        assert len(sentence) <= 300
        results[mistake] = [
            values.fitted(values.parts(wrong(*given)), e) for given, e in zip(exercise.inputs(), asked, strict=True)
        ]
    for one, other in itertools.combinations(results, 2):
        assert not values.all_same(results[one], results[other]), (one, other)


def test_a_verdict_is_text_and_safe_html() -> None:
    def student(*_: object) -> None:
        raise ValueError("<script>")

    verdict = checks.loss(student)
    assert "<script>" in repr(verdict) and "<script>" not in verdict._repr_html_()


def test_an_unknown_exercise_names_the_near_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'q_sample'"):
        checks.hint("q_sampel")
    with pytest.raises(AttributeError):
        checks.nothing  # noqa: B018


def test_spread_skill_is_that_of_the_package() -> None:
    truth, samples = checks.EXERCISES["spread_skill"].inputs()[0]
    ours = metrics.spread_skill(truth, samples)
    assert checks.answer("spread_skill")(truth, samples) == pytest.approx(ours.ratio)


def test_the_sign_flip_test_is_that_of_scipy() -> None:
    for (gains,) in checks.EXERCISES["sign_flip_p"].inputs():
        exact = stats.permutation_test((gains,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert checks.answer("sign_flip_p")(gains) == pytest.approx(exact.pvalue)


def test_on_the_straight_path_image_and_noise_share_one_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 4, 1, 5, 5, generator=generator)
    schedule, t = cosine_schedule(50), torch.tensor([0, 10, 30, 49])
    x, s = checks.answer("to_straight")(schedule, q_sample(schedule, x0, t, eps), t)
    torch.testing.assert_close(x, (1 - s) * x0 + s * eps)
