// The therapist's programme editor: exercises with side and dose, proposed steps to decide, and every version that was.
import { $, ask, chooseWearer, guarded, locale, rater, say, time } from './desk.js';

const DOSES = [['sets', 'Sets', 1, 10], ['reps', 'Times', 1, 100], ['hold_s', 'Hold, s', 0, 120]];
const OUTCOMES = { open: 'Proposed', accepted: 'Accepted', declined: 'Declined', withdrawn: 'Withdrawn' };
const SOON_MS = 1000; // a change goes through the gateway's journal before it can be read again
const TRIES = 20;
let library = new Map();
let programme = null;
let shown = ''; // the exercises as they were put into the form

const make = (name, properties, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};
const nameOf = (id) => library.get(id)?.name ?? id;
const dose = ({ side, sets, reps, hold_s }) => `${side === 'both' ? 'both sides' : side}, ${sets} × ${reps}${hold_s ? `, hold ${hold_s} s` : ''}`;
const about = (entry) => `${nameOf(entry.exercise)} (${dose(entry)})`;
const address = (path) => `${path}?${new URLSearchParams({ wearer: $('wearer').value })}`;
const dayName = (day) => new Date(`${day}T12:00:00`).toLocaleDateString(locale, { weekday: 'long', day: 'numeric', month: 'long' });

function row(entry) {
  const exercise = make('select', { name: 'exercise' }, ...[...library.values()].map((e) => new Option(`${e.name} (level ${e.level})`, e.id, false, e.id === entry.exercise)));
  const side = make('select', { name: 'side' });
  const sides = (wanted) => side.replaceChildren(...library.get(exercise.value).sides.map((one) => new Option(one, one, false, one === wanted)));
  const doses = DOSES.map(([name, label, min, max]) => make('label', { textContent: label }, make('input', { name, type: 'number', min, max, required: true, value: entry[name] })));
  const remove = make('button', { type: 'button', textContent: 'Remove' });
  const named = () => remove.setAttribute('aria-label', `Remove ${nameOf(exercise.value)}`);
  const line = make('li', {}, make('label', { className: 'wide', textContent: 'Exercise' }, exercise), make('label', { textContent: 'Side' }, side), ...doses, remove);
  exercise.addEventListener('change', () => {
    const known = library.get(exercise.value);
    sides(side.value);
    for (const [name] of DOSES) line.querySelector(`[name=${name}]`).value = known.dose[name];
    named();
  });
  remove.addEventListener('click', () => {
    line.remove();
    $('add').focus();
  });
  sides(entry.side);
  named();
  return line;
}

const entries = () => [...$('rows').children].map((line) => Object.fromEntries([...line.querySelectorAll('select, input')].map((e) => [e.name, e.type === 'number' ? e.valueAsNumber : e.value])));

const changed = () => programme !== null && JSON.stringify(entries()) !== shown;

function show() {
  const { version, editor, pending } = programme;
  const by = (one) => (one.editor ? ` (by ${one.editor})` : " (the study's own)");
  const holds = `Version ${version} holds today${by({ editor })}.`;
  $('state').textContent = pending ? `${holds} Version ${pending.version}${by(pending)} holds from ${dayName(pending.effective)} on; you see and change that one.` : holds;
  $('rows').replaceChildren(...(pending ?? programme).entries.map(row));
  shown = JSON.stringify(entries());
  $('proposals-card').hidden = !programme.proposals.length;
  $('proposals').replaceChildren(...programme.proposals.map(proposal));
}

// What the rule counted, so that the therapist decides on more than its word.
function reasons({ direction, why }) {
  if (!why) return '';
  const pain = why.highest_pain === null ? 'no pain was noted' : `the strongest pain noted was ${why.highest_pain} of 10`;
  if (direction === 'progression') return `Done on ${why.done_days} days since ${dayName(why.first_day)}; in the last two weeks ${pain}.`;
  return `Pain was above the usual ${why.usual_pain} of 10 on ${why.days_above} days of the last week, at most ${why.highest_pain}.`;
}

function proposal(one) {
  const step = one.direction === 'regression' ? 'An easier one' : 'A next step';
  const text = one.to ? `${step}: ${one.from ? `${about(one.from)} becomes ` : ''}${about(one.to)}.` : one.text;
  const buttons = [['Accept', true], ['Decline', false]].map(([label, accept]) => {
    const button = make('button', { type: 'button', textContent: label });
    button.setAttribute('aria-label', `${label}: ${text}`);
    button.addEventListener('click', guarded(() => decide(one, accept)));
    return button;
  });
  return make('li', {}, make('p', { textContent: text }), make('p', { className: 'soft', textContent: reasons(one) }), make('div', { className: 'review-verdicts' }, ...buttons));
}

function entry(one) {
  if (one.type === 'programme') return `Version ${one.version} by ${one.editor}, from ${dayName(one.effective)} on: ${one.entries.map(about).join('; ') || 'no exercise'}.`;
  const told = one.from && one.to ? `${OUTCOMES[one.outcome]}: ${about(one.from)} becomes ${about(one.to)}.` : one.text;
  return `${told}${one.editor ? ` (by ${one.editor})` : ''}`;
}

async function load() {
  say('');
  programme = null; // what was typed for another wearer is dropped by now, and not asked about again
  if (!library.size) library = new Map((await ask('api/exercises')).map((e) => [e.id, e]));
  programme = await ask(address('api/programme'));
  show();
  const history = await ask(address('api/programme/history'));
  $('history').replaceChildren(...history.map((one) => make('li', {}, make('span', { className: 'soft', textContent: `${time(one.t_ms)} ` }), entry(one))));
  $('history-none').hidden = history.length > 0;
}

// What was sent is shown once it can be read back, so that nothing looks saved that is not.
async function sent(path, body, method, done) {
  const held = [...document.querySelectorAll('main :is(button, select, input)')]; // what is typed meanwhile would be lost
  const pressed = document.activeElement;
  const before = JSON.stringify(programme);
  for (const one of held) one.disabled = true;
  try {
    await ask(address(path), body, method);
    say('Saving …');
    for (let i = 0; i < TRIES; i += 1) {
      await new Promise((over) => setTimeout(over, SOON_MS));
      if (JSON.stringify(await ask(address('api/programme'))) !== before) break;
    }
    await load();
    say(JSON.stringify(programme) === before ? 'The gateway took it but has not written it yet; load this page again in a moment.' : done, true);
  } finally {
    for (const one of held) one.disabled = false;
    (pressed.isConnected ? pressed : $('programme')).focus(); // what cannot be pressed loses it
  }
}

async function save() {
  if (!changed()) return say('Nothing has been changed.');
  const editor = rater();
  if (editor) await sent('api/programme', { entries: entries(), editor }, 'PUT', 'Saved. It holds from the next day on.');
}

async function decide({ event_id }, accept) {
  if (changed()) return say('You have changed exercises: save or undo that first.'); // else it would be lost without a word
  const editor = rater();
  if (editor) await sent('api/proposal', { event_id, accept, editor }, 'POST', accept ? 'Accepted. It holds from the next day on.' : 'Declined.');
}

$('choose').addEventListener('submit', (event) => event.preventDefault());
$('edit').addEventListener('submit', (event) => {
  event.preventDefault();
  guarded(save)();
});
$('reset').addEventListener('click', () => programme && show());
$('add').addEventListener('click', () => {
  if (!library.size) return;
  const [first] = library.values();
  const line = row({ exercise: first.id, side: first.sides[0], ...first.dose });
  $('rows').append(line);
  line.querySelector('select').focus();
});
addEventListener('beforeunload', (event) => changed() && event.preventDefault());
const mayLeave = (wearer) => !changed() || confirm(`You have changed exercises of ${wearer} and not saved them. Drop these changes?`);
guarded(() => chooseWearer('proposals', load, mayLeave))();
