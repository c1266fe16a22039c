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

// Who there is, and of each how much of `kind` ("flags", "proposals") waits.
async function whom(kind) {
  const { wearers, waiting } = await ask('api/review/wearers');
  return wearers.map((id) => [id, waiting[id]?.[kind] ? `${id} (${waiting[id][kind]})` : id]);
}

// `mayLeave` asks before another wearer is shown, where something would be lost.
export async function chooseWearer(kind, load, mayLeave = () => true) {
  $('rater').value = localStorage.getItem(RATER) ?? '';
  let found;
  try {
    found = await whom(kind);
  } catch (error) {
    document.body.classList.add('refused'); // nothing here can be used
    throw error;
  }
  const [select, wanted] = [$('wearer'), asked.get('wearer')];
  select.replaceChildren(...found.map(([id, text]) => new Option(text, id, false, id === wanted)));
  let shown = select.value;
  const own = () => new URLSearchParams({ wearer: shown });
  const links = () => {
    for (const link of document.querySelectorAll('.desk-nav a, .of-wearer')) link.search = own();
  };
  const change = async () => {
    if (!mayLeave(shown)) return void (select.value = shown);
    shown = select.value;
    history.replaceState(null, '', `?${own()}`); // loaded again, or kept as a bookmark, it is the same wearer
    links();
    await load();
    const counts = new Map(await whom(kind)); // what was decided meanwhile does not wait any more
    for (const option of select.options) option.text = counts.get(option.value) ?? option.value;
  };
  select.addEventListener('change', guarded(change));
  links();
  await load();
  if (wanted && wanted !== shown) say(`There is no wearer ${wanted} here; this is ${shown}.`);
}
