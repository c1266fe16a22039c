// Small helpers that build what the page shows; text only ever enters as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

export function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function svg(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export function add(parent, name, attributes, text) {
  const element = svg(name, attributes, text);
  parent.append(element);
  return element;
}

export const listItems = (lines) => (lines ?? []).map((line) => make("li", "", line));

// How much larger than usual the reader's letters are, as far as `room` [px] allows: charts grow with them.
export const letters = (room) => Math.max(1, Math.min(parseFloat(getComputedStyle(document.documentElement).fontSize) / 16, room / 220));

// Sends a form's entry and says how it went; the button cannot be pressed twice meanwhile.
export async function sending(button, result, work, failed) {
  const focused = document.activeElement === button;
  if (button) button.disabled = true;
  result.classList.remove("bad");
  try {
    result.textContent = (await work()) ?? "";
  } catch (error) {
    result.textContent = failed(error);
    result.classList.add("bad");
  }
  if (button) button.disabled = false;
  if (focused && document.activeElement === document.body) button.focus(); // a disabled button loses it
}
