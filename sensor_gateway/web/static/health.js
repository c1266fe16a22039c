// The health questions: at the start and after much pain. A yes stops the prompts, and the page says to see a professional.
import { $, make, sending } from "./dom.js";
import { get, post } from "./net.js";
import { onHealth } from "./prompt.js";
import { said, t } from "./text.js";
import { isOpen } from "./views.js";

let state = null;
let allowed = false;

const stopText = () => said("health.stopped", state?.text ?? "");

function question(one) {
  const field = make("fieldset", "question");
  field.append(make("legend", "", said(`health.q.${one.id}`, one.text)));
  const more = make("p", "soft", said(`health.more.${one.id}`, one.more));
  more.id = `more-${one.id}`;
  field.setAttribute("aria-describedby", more.id);
  const choice = make("div", "choice");
  for (const [value, key] of [["no", "health.no"], ["yes", "health.yes"]]) {
    const label = make("label", "radio");
    const input = make("input");
    Object.assign(input, { type: "radio", name: one.id, value, required: true });
    label.append(input, make("span", "", t(key)));
    choice.append(label);
  }
  field.append(more, choice);
  return field;
}

function show() {
  if (!$("questions").children.length) $("questions").replaceChildren(...state.questions.map(question));
  $("health-stop").hidden = !state.stop;
  document.body.classList.toggle("stopped", state.stop);
  onHealth(state.stop);
  $("health-stop-text").textContent = stopText();
  $("health-due").hidden = !state.due || state.stop || !allowed;
}

export async function loadHealth(due = false) {
  try {
    state = await get("redflags");
    if (due) state.due = true;
    show();
  } catch {
    // the notice already says that the gateway does not answer
  }
}

async function send() {
  const given = new FormData($("health-form"));
  const answers = Object.fromEntries(state.questions.map((q) => [q.id, given.get(q.id) === "yes"]));
  const answer = await post("redflags", { answers });
  state = { ...state, due: false, stop: answer.stop, text: answer.text };
  show();
  $("health-form").reset();
  if (answer.stop && isOpen("health")) $("health-stop").scrollIntoView({ block: "center" });
  return answer.stop ? stopText() : t("health.fine");
}

async function clear() {
  await post("redflags", { clear: true, editor: $("health-editor").value.trim() });
  state = { ...state, stop: false, due: false };
  show();
  return "";
}

export function setUpHealth(can) {
  allowed = can;
  const failed = (error) => t("error.not_saved", { reason: error.message });
  for (const [form, result, work] of [["health-form", "health-result", send], ["health-clear-form", "health-clear-result", clear]]) {
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      sending(event.submitter, $(result), work, failed);
    });
  }
  return loadHealth();
}
