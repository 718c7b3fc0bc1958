(async () => {
'use strict';
const id = name => document.getElementById(name), box = id('explorer'), link = id('record');
if (!box || !window.DecompressionStream) return;
const raw = Uint8Array.from(atob(link.href.split(',')[1]), c => c.charCodeAt());
const run = await new Response(new Blob([raw]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
const models = run.models.filter(m => m.excerpts.length), pick = ['model', 'passage', 'block'].map(id);
const text = id('words'), live = id('live'), L = 46, R = 342, T = 8, F = 210;
let one, steps, ways, xs, ys, at = -1;
const esc = s => s.replace(/[&<>"']/g, c => `&#${c.charCodeAt()};`);
const readable = s => (s = s.replace(/\\(?:\\|x(..))/g, (_, h) => h ? `⟨${h.toUpperCase()}⟩` : '\\'),
  (/^\p{M}/u.test(s) ? '◌' : '') + s.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, c => c == '\n' ? '↵'
    : `⟨U+${c.codePointAt().toString(16).toUpperCase().padStart(4, 0)}⟩`));
const tenth = v => Math.round(v * 10) / 10;
const scale = (low, high, start, end) => v => tenth(start + (v - low) / (high - low) * (end - start));
const padded = v => { const a = Math.min(...v), b = Math.max(...v), p = (b - a) * .05 || Math.abs(a) * .05 || 1; return [a - p, b + p]; };
const ticks = (low, high) => {
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw)), found = [];
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw * .999);
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) found.push(+(k * step).toPrecision(6) + 0);
  return found;
};
const words = (x, y, s, anchor) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${s}</text>`;
const frame = (X, Y, tx, ty, nx, ny) => '<path class="grid" d="' + tx.map(t => `M${X(t)} ${T}V${F}`).join('') +
  ty.map(t => `M${L} ${Y(t)}H${R}`).join('') + '"/>' + tx.map(t => words(X(t), F + 15, t, 'middle')).join('') +
  ty.map(t => words(L - 5, Y(t) + 4, t, 'end')).join('') + words((L + R) / 2, F + 31, nx, 'middle').replace('<text', '<text class="name"') +
  `<text class="name" transform="translate(11 ${(T + F) / 2}) rotate(-90)" text-anchor="middle">${ny}</text>`;
const fill = (select, names, value) => {
  select.innerHTML = names.map((n, i) => `<option value="${i}">${esc(n)}</option>`).join('');
  select.value = Math.min(value, names.length - 1);
};
const draw = () => {
  const m = models[+pick[0].value], b = +pick[2].value;
  steps = one.steps[b]; ys = one.next_logit;
  ways = steps.map((_, i) => one.steps.reduce((w, s) => (w.push(w.at(-1) + s[i]), w), [0]));
  const n = one.steps.length, px = padded(steps), py = padded(ys), top = Math.max(...ways.map(w => w[n])) * 1.04 || 1;
  const X = scale(...px, L, R), Y = scale(...py, F, T), A = scale(0, n, L, R), U = scale(0, top, F, T);
  const [dots, lines] = box.querySelectorAll('svg');
  xs = steps.map(X); ys = ys.map(Y); ways = ways.map(w => w.map(U));
  dots.innerHTML = frame(X, Y, ticks(...px), ticks(...py), `step of block ${b + 1}`, 'next token’s logit') +
    xs.map((x, i) => `<circle data-i="${i}" cx="${x}" cy="${ys[i]}" r="3.5"/>`).join('');
  lines.innerHTML = frame(A, U, ticks(0, n), ticks(0, top), 'block', 'path length so far') +
    `<path class="block" d="M${A(b + 1)} ${T}V${F}"/>` +
    ways.map((w, i) => `<path data-i="${i}" d="M${w.map((y, k) => A(k) + ' ' + y).join('L')}"/>`).join('');
  const about = `${m.title}, ${one.text}: `;
  dots.setAttribute('aria-label', `${about}step of block ${b + 1} against the next token’s logit, ${xs.length} tokens`);
  lines.setAttribute('aria-label', `${about}path length of ${xs.length} tokens over ${n} blocks`);
  const rank = [...steps.keys()].sort((i, j) => steps[i] - steps[j]), ink = [];
  rank.forEach((i, r) => ink[i] = Math.floor(r * 5 / rank.length));
  text.innerHTML = one.pieces.map((s, k) => (k -= one.left_out, k < 0 || k >= xs.length ? `<i>${esc(readable(s))}</i>`
    : `<span role="option" id="t${k}" data-i="${k}" class="q${ink[k]}" aria-selected="false">${esc(readable(s))}</span>`)).join('');
  const kept = at; at = -1;
  if (kept >= 0) show(Math.min(kept, xs.length - 1));
};
const show = i => {
  if (i == at) return;
  box.querySelectorAll('.on').forEach(e => { e.classList.remove('on'); e.ariaSelected &&= 'false'; });
  at = i;
  box.querySelectorAll(`[data-i="${i}"]`).forEach(e => { e.classList.add('on'); if (e.tagName != 'SPAN') e.parentNode.append(e); else e.ariaSelected = 'true'; });
  text.setAttribute('aria-activedescendant', 't' + i);
  const k = i + one.left_out, said = j => readable(one.pieces[j] ?? ''), way = one.steps.reduce((w, s) => w + s[i], 0);
  const below = steps.filter(s => s > steps[i]).length / (steps.length - 1 || 1);
  live.textContent = `“${said(k)}”, token ${i + 1} of ${steps.length}, after “${one.pieces.slice(Math.max(0, k - 6), k).map(readable).join('')}”. ` +
    `Step of block ${+pick[2].value + 1}: ${steps[i]}, shorter than ${Math.round(below * 100)} % of the others. Whole path: ${+way.toPrecision(3)}. ` +
    `Next comes “${said(k + 1)}” with logit ${one.next_logit[i]}, p = ${Math.exp(one.next_log_probability[i]).toPrecision(2)}.`;
};
const change = from => {
  if (from < 1) fill(pick[1], models[+pick[0].value].excerpts.map(e => e.text), +pick[1].value || 0);
  one = models[+pick[0].value].excerpts[+pick[1].value];
  if (from < 1) fill(pick[2], one.steps.map((_, i) => `${i + 1}`), one.steps.length - 1);
  draw();
};
fill(pick[0], models.map(m => m.title), 0);
change(0);
pick.forEach((select, i) => select.addEventListener('change', () => change(i)));
const near = (svg, event) => {
  const r = svg.getBoundingClientRect(), x = (event.clientX - r.left) * 350 / r.width, y = (event.clientY - r.top) * 250 / r.height;
  const n = one.steps.length, k = Math.max(0, Math.min(n, Math.round((x - L) / (R - L) * n)));
  const away = svg.matches('.tokens') ? xs.map((a, i) => Math.hypot(a - x, ys[i] - y)) : ways.map(w => Math.abs(w[k] - y));
  const best = Math.min(...away);
  if (best < 24) show(away.indexOf(best));
};
for (const svg of box.querySelectorAll('svg')) for (const kind of ['pointermove', 'pointerdown']) svg.addEventListener(kind, e => near(svg, e));
for (const kind of ['pointerover', 'pointerdown']) text.addEventListener(kind, e => e.target.dataset.i && show(+e.target.dataset.i));
text.addEventListener('keydown', e => {
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: 1e9 }[e.key];
  if (to == null) return;
  e.preventDefault();
  show(Math.max(0, Math.min(xs.length - 1, to)));
});
text.addEventListener('focus', () => at < 0 && show(0));
text.setAttribute('role', 'listbox');
text.tabIndex = 0;
box.classList.add('ready');
})();
