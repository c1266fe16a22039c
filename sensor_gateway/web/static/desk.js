// What the therapist's pages share: asking the gateway, saying how it went, whose data, and who is judging.
export const $ = (id) => document.getElementById(id);
export const asked = new URLSearchParams(location.search);
// Dates stand in English sentences: as the reader's own country writes them only where it writes English.
export const locale = navigator.language.startsWith('en') ? navigator.language : 'en-GB';
export const time = (ms) => new Date(ms).toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'short' });
const RATER = 'tiltline-rater';

export async function ask(path, body, method = 'POST') {
  const asking = fetch(path, body && { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const answer = await asking.catch(() => {
    throw new Error('The gateway does not answer. Please try again in a while.');
  });
  if (answer.status === 401) location.assign(`sign-in?${new URLSearchParams({ to: location.pathname + location.search })}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error ?? `The gateway answered ${answer.status}.`);
  return found;
}

export function say(text, good = false) {
  $('said').textContent = text;
  $('said').classList.toggle('good', good);
  $('said').hidden = !text;
}

export const guarded = (action) => async (...given) => {
  try {
    await action(...given);
  } catch (error) {
    say(error.message);
  }
};

// The short name that stands beside what is entered; empty (and told so) where none is given yet.
export function rater() {
  const name = $('rater').value.trim();
  if (name) localStorage.setItem(RATER, name);
  else {
    say("Enter your short name first, for example 'pt-1'.");
    $('rater').focus();
  }
  return name;
}

export async function chooseWearer(load) {
  $('rater').value = localStorage.getItem(RATER) ?? '';
  let wearers;
  try {
    ({ wearers } = await ask('api/review/wearers'));
  } catch (error) {
    document.body.classList.add('refused'); // nothing here can be used
    throw error;
  }
  $('wearer').replaceChildren(...wearers.map((id) => new Option(id, id, false, id === asked.get('wearer'))));
  const links = () => {
    for (const link of document.querySelectorAll('.desk-nav a')) link.search = new URLSearchParams({ wearer: $('wearer').value });
  };
  $('wearer').addEventListener('change', guarded(() => (links(), load())));
  links();
  await load();
}
