// My programme, exercise by exercise, and the library behind it. Doing one is noted with one press.
import { $, listItems, make, sending } from "./dom.js";
import { get, post } from "./net.js";
import { showPicture } from "./pictures.js";
import { dose, locale, said, t } from "./text.js";

const failed = (error) => t("error.not_saved", { reason: error.message });
let library = null;
let drawn = "";
let programme = null;
let canLog = false;

const nameOf = (id) => said(`exercise.${id}`, library.get(id)?.name ?? id);
const purposeOf = (known) => said(`exercise.${known.id}.purpose`, known.purpose);

function steps(known) {
  const parts = [make("h3", "", t("exercises.how"))];
  const list = make("ol");
  list.append(...listItems(known.steps));
  parts.push(list);
  if (known.contraindications.length) {
    const care = make("ul");
    care.append(...listItems(known.contraindications));
    parts.push(make("h3", "", t("prompt.careful")), care);
  }
  return parts;
}

function card(entry) {
  const known = library.get(entry.exercise);
  const li = make("li", "exercise");
  const picture = make("div", "picture");
  const words = make("div", "exercise-words");
  const name = nameOf(entry.exercise);
  words.append(make("h2", "", name), make("p", "dose", dose(entry)));
  if (known) {
    showPicture(picture, known.id);
    const details = make("details");
    details.append(make("summary", "", t("exercises.steps")), ...steps(known));
    words.append(make("p", "soft", purposeOf(known)), details);
  }
  if (canLog) {
    const button = make("button", "", t("exercises.did"));
    const result = make("p", "result");
    result.setAttribute("role", "status");
    button.setAttribute("aria-label", t("exercises.did_name", { exercise: name }));
    button.addEventListener("click", () => sending(button, result, () => did(entry), failed));
    words.append(button, result);
  }
  li.append(picture, words);
  return li;
}

async function did({ exercise, side, sets, reps }) {
  await post("log", { kind: "exercise", exercise, side, sets, reps });
  return t("exercises.noted");
}

function libraryItem(known) {
  const li = make("li");
  const details = make("details");
  const summary = make("summary");
  const words = make("span", "flag-words");
  words.append(make("span", "flag-head", nameOf(known.id)), make("span", "soft", purposeOf(known)));
  summary.append(words, make("span", "tag", t("exercises.level", { n: known.level })));
  const picture = make("div", "picture");
  details.append(summary, picture, make("p", "dose", dose(known.dose)), ...steps(known));
  details.addEventListener("toggle", () => details.open && showPicture(picture, known.id));
  for (const key of ["regression", "progression"]) {
    const step = known[key];
    if (step?.text) details.append(make("p", "soft", `${t(`exercises.${key}`)} ${step.text}`));
  }
  li.append(details);
  return li;
}

function next() {
  const parts = [];
  const list = (entries) => {
    const ul = make("ul");
    ul.append(...entries.map((e) => make("li", "", `${nameOf(e.exercise)}: ${dose(e)}`)));
    return ul;
  };
  if (programme.pending) {
    const day = new Date(`${programme.pending.effective}T12:00:00`).toLocaleDateString(locale, { weekday: "long", day: "numeric", month: "long" });
    parts.push(make("h2", "", t("exercises.pending", { day })), list(programme.pending.entries));
  }
  const proposals = programme.proposals ?? [];
  if (proposals.length) parts.push(make("h2", "", t("exercises.proposals")));
  for (const one of proposals) {
    if (one.to) parts.push(make("p", "soft", t(`exercises.proposal.${one.direction}`, { exercise: `${nameOf(one.to.exercise)} (${dose(one.to)})` })));
  }
  return parts;
}

export async function loadProgramme() {
  try {
    if (!library) library = new Map((await get("exercises")).map((e) => [e.id, e]));
    programme = await get("programme");
  } catch (error) {
    if (!programme) $("programme-text").textContent = t("error.generic", { reason: error.message });
    return;
  }
  const now = JSON.stringify([programme, canLog]);
  if (now === drawn) return; // asked again after each entry: what was just noted stays where it was told, and so does the focus
  drawn = now;
  const n = programme.entries.length;
  $("programme-text").textContent = n ? t("exercises.text", { n }) : t("exercises.empty");
  $("programme").replaceChildren(...programme.entries.map(card));
  $("programme-next").replaceChildren(...next());
  if (!$("library").children.length) $("library").replaceChildren(...[...library.values()].map(libraryItem));
}

// On paper nothing can be opened: what the steps are is printed with the own programme.
export function setUpPrint() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...$("programme").querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
}

export const allowExercises = (allowed) => (canLog = allowed);
