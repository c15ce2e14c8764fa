/* Predictions in the built book: the choices become buttons, and a committed guess opens the outputs that follow.
   Without this script the question, its choices and the folded outputs are there all the same. Nothing is sent or kept. */
"use strict";

function make(tag, text, attributes = {}) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.textContent = text;
  return element;
}

/* What a guess is worth, or nothing if it is not an answer. */
function told(data, guess) {
  if (data.answers) return new Map(data.answers).get(guess);
  const number = parseFloat(guess);
  return Number.isNaN(number) ? undefined : data.limits.find(([limit]) => limit === null || number <= limit)[1];
}

/* The cells between a question and the next text: their outputs are the answer. */
function answering(box) {
  const cells = [];
  for (let next = box.closest(".cell")?.nextElementSibling; next?.classList.contains("cell"); next = next.nextElementSibling)
    cells.push(next);
  return cells;
}

function upgrade(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const choices = box.querySelector("ul"), status = box.querySelector("[role=status]"), cells = answering(box);
  const worth = make("p", "", { className: "prediction-told" });
  const buttons = [];

  function commit(guess, sentences, pressed) {
    buttons.forEach(button => button.setAttribute("aria-pressed", String(button === pressed)));
    cells.forEach(cell => cell.querySelectorAll("details.predicted").forEach(one => { one.open = true; }));
    status.textContent = pressed.value === "pass" ? "The result is open below." :
      `You said: ${guess}. The result is open below, and under it what your guess tells.`;
    worth.textContent = sentences;
    (cells.at(-1) ?? box).after(worth);
  }

  function button(text, value = "") {
    const one = make("button", text, { type: "button", value });
    one.setAttribute("aria-pressed", "false");
    buttons.push(one);
    return one;
  }

  choices.querySelectorAll("li").forEach(item => {
    const guess = item.textContent, one = button(guess);
    one.addEventListener("click", () => commit(guess, told(data, guess), one));
    item.replaceChildren(one);
  });
  if (data.limits) {
    const label = make("label", `Your guess${data.unit ? ` in ${data.unit}` : ""} `);
    const field = make("input", "", { type: "number", step: "any" }), one = button("That is my guess");
    const say = () => {
      const sentences = told(data, field.value);
      if (sentences === undefined) status.textContent = "A number is wanted.";
      else commit(`${field.value} ${data.unit}`.trim(), sentences, one);
    };
    one.addEventListener("click", say);
    field.addEventListener("keydown", event => { if (event.key === "Enter") say(); });
    label.append(field);
    const item = make("li", "");
    item.append(label, one);
    choices.append(item);
  }
  const passing = button("I pass", "pass"), last = make("li", "");
  passing.addEventListener("click", () => commit("", data.pass, passing));
  last.append(passing);
  choices.append(last);
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".prediction").forEach(upgrade));
