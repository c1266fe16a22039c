// The therapist's review: one flag at a time, its picture and numbers, what followed, and a verdict.
import { $, ask, asked, chooseWearer, guarded, locale, rater, say, time } from './desk.js';

const RULES = { tilt_dose: 'Tilt over the last hour', sustained_tilt: 'Tilt for ten minutes', static_posture: 'One position for long' };
const SOURCES = { therapist: 'set by a therapist', neutral: 'the starting value', personal: "the wearer's own last days", personal_capped: 'the highest without a therapist' };
const VERDICTS = { useful: 'useful', not_useful: 'not useful', wrong_posture: 'another posture' };
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone ?? '';
const Z95 = 1.96; // standard errors either side
let flags = [];
let at = 0;
let wanted = asked.get('event');

const degrees = (value) => (value == null ? null : `${value.toFixed(1).replace('-', '−')}°`);
const item = (text) => Object.assign(document.createElement('li'), { textContent: text });

function facts(flag) {
  const span = flag.from_ms == null ? null : `${time(flag.from_ms)} to ${new Date(flag.to_ms).toLocaleTimeString(locale, { timeStyle: 'short' })}`;
  const tilt = flag.tilt_mid_deg == null ? null : `${degrees(flag.tilt_mid_deg)} (${degrees(flag.tilt_low_deg)} to ${degrees(flag.tilt_high_deg)})`;
  const unit = flag.unit === 's' ? 'min' : flag.unit ?? '';
  const shown = (value) => (value == null ? null : `${Math.round((flag.unit === 's' ? value / 60 : value) * 10) / 10} ${unit}`.replace('deg*min', 'degree-minutes'));
  return [['Posture', flag.posture && flag.posture[0].toUpperCase() + flag.posture.slice(1)], ['When', span], ['Found', shown(flag.value)], ['Limit', shown(flag.limit)], ['Tilt, and its spread', tilt],
    ['Tilt limit', degrees(flag.threshold_deg)], ['Limit from', SOURCES[flag.threshold_source] ?? flag.threshold_source]].filter(([, value]) => value != null && value !== '');
}

function chain(flag) {
  const told = [];
  if (flag.prompt) told.push(`Prompt: ${flag.prompt.exercise_name}, ${flag.prompt.sets} × ${flag.prompt.reps}.`);
  else if (flag.reason_text) told.push(`No prompt. ${flag.reason_text}`);
  else told.push(flag.outcome === 'waiting' ? 'Waiting for a calm moment.' : 'Noted; no prompt.');
  if (flag.prompt) told.push(flag.answer ? `Answer: ${flag.answer.replaceAll('_', ' ')}.` : 'No answer yet.');
  for (const done of flag.exercises) told.push(`Done: ${done.exercise_name}, ${done.sets} × ${done.reps}.`);
  for (const response of flag.responses) {
    const span = response.delta_deg == null ? '' : ` Measured to lie between ${degrees(response.delta_deg - Z95 * response.se_deg)} and ${degrees(response.delta_deg + Z95 * response.se_deg)}.`;
    told.push(`${response.text}${span}`);
  }
  for (const verdict of flag.verdicts) told.push(`Verdict by ${verdict.rater}, ${time(verdict.t_ms)}: ${VERDICTS[verdict.verdict]}.${verdict.note ? ` ${verdict.note}` : ''}`);
  return told;
}

function show() {
  const flag = flags[at];
  $('place').textContent = flag ? `Flag ${at + 1} of ${flags.length}, ${time(flag.t_ms)}` : '';
  $('flag-title').textContent = flag ? RULES[flag.rule] ?? flag.rule : 'Nothing to review';
  $('flag-text').textContent = flag ? flag.text ?? '' : $('state').value === 'open' ? 'No flag of this wearer waits for a verdict.' : 'There is no flag of this wearer yet.';
  for (const id of ['picture', 'facts', 'judge']) $(id).hidden = !flag;
  $('before').disabled = at <= 0;
  $('after').disabled = at >= flags.length - 1;
  $('facts').replaceChildren();
  $('chain').replaceChildren();
  if (!flag) return;
  $('picture').src = `api/review/${encodeURIComponent(flag.event_id)}/picture.svg?${new URLSearchParams({ tz: ZONE })}`;
  $('picture').alt = `The minutes behind this flag: ${flag.text ?? flag.rule}`;
  for (const [name, value] of facts(flag)) {
    const pair = document.createElement('div');
    pair.append(Object.assign(document.createElement('dt'), { textContent: name }), Object.assign(document.createElement('dd'), { textContent: value }));
    $('facts').append(pair);
  }
  $('chain').replaceChildren(...chain(flag).map(item));
  for (const button of $('verdicts').children) button.setAttribute('aria-pressed', String(button.dataset.verdict === flag.verdict));
}

function showPrecision(precision) {
  const rows = Object.entries(precision).map(([rule, row]) => {
    const line = document.createElement('tr');
    for (const text of [RULES[rule] ?? rule, `${Math.round(row.precision * 100)} %`, row.judged]) line.append(Object.assign(document.createElement('td'), { textContent: text }));
    return line;
  });
  $('precision').replaceChildren(...rows);
  $('precision-table').hidden = !rows.length;
  $('precision-none').hidden = rows.length > 0;
}

async function load(keep) {
  const found = await ask(`api/review?${new URLSearchParams({ wearer: $('wearer').value, state: wanted ? 'all' : $('state').value })}`);
  if (wanted) $('state').value = 'all';
  flags = found.flags;
  $('note').value = ''; // it was about the flag before
  const index = flags.findIndex((flag) => flag.event_id === (keep ?? wanted));
  if (wanted && index < 0) say('This flag is not among the newest ones of this wearer; here are those.');
  wanted = null;
  at = Math.max(0, index);
  showPrecision(found.precision);
  show();
}

async function judge(pressed) {
  const { verdict } = pressed.dataset;
  const flag = flags[at];
  const name = rater();
  if (!name) return;
  const buttons = [...$('verdicts').children];
  for (const button of buttons) button.disabled = true;
  try {
    const note = $('note').value.trim();
    await ask('api/review', { event_id: flag.event_id, verdict, rater: name, note });
    say(`Saved: ${VERDICTS[verdict]}.`, true);
    $('note').value = '';
    flag.verdict = verdict;
    flag.verdicts.push({ verdict, rater: name, t_ms: Date.now(), note });
    show();
  } finally {
    for (const button of buttons) button.disabled = false;
    pressed.focus(); // a button that cannot be pressed loses it
  }
}

$('choose').addEventListener('submit', (event) => event.preventDefault());
$('state').addEventListener('change', guarded(() => load()));
const go = (steps) => () => {
  at += steps;
  $('note').value = ''; // it was about the flag before
  say('');
  show();
};
$('before').addEventListener('click', go(-1));
$('after').addEventListener('click', go(1));
$('verdicts').addEventListener('click', guarded(async (event) => {
  if (event.target.dataset.verdict) await judge(event.target);
}));
guarded(() => chooseWearer('flags', () => load()))();
