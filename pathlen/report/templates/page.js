(async () => {
const id = name => document.getElementById(name), box = id('explorer'), link = id('record');
if (!box || !window.DecompressionStream) return;
const packed = Uint8Array.from(atob(link.href.split(',')[1]), c => c.charCodeAt());
const run = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
const models = run.models.filter(m => m.excerpts.length), [model, passage, block] = ['model', 'passage', 'block'].map(id);
const text = id('words'), [dots, lines] = box.querySelectorAll('svg'), L = 46, R = 342, T = 8, F = 210;
let one, steps, ways, xs, ys, at = -1;
const esc = s => s.replace(/[&<>"']/g, c => `&#${c.charCodeAt()};`);
const readable = s => (s = s.replace(/\\(?:\\|x(..))/g, (_, h) => h ? `⟨${h.toUpperCase()}⟩` : '\\'),
  (/^\p{M}/u.test(s) ? '◌' : '') + s.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, c => c == '\n' ? '↵'
    : `⟨U+${c.codePointAt().toString(16).toUpperCase().padStart(4, 0)}⟩`));
const scale = (low, high, start, end) => v => Math.round((start + (v - low) / (high - low) * (end - start)) * 10) / 10;
const padded = v => { const a = Math.min(...v), b = Math.max(...v), p = (b - a) * .05 || Math.abs(a) * .05 || 1; return [a - p, b + p]; };
const ticks = (low, high) => {
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw)), found = [];
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw * .999);
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) found.push(+(k * step).toPrecision(6) + 0);
  return found;
};
const frame = (x, y, nx, ny) => {
  const X = scale(...x, L, R), Y = scale(...y, F, T), across = ticks(...x), up = ticks(...y);
  return [X, Y, `<path class="grid" d="${across.map(t => `M${X(t)} ${T}V${F}`).join('')}${up.map(t => `M${L} ${Y(t)}H${R}`).join('')}"/>
<g text-anchor="middle">${across.map(t => `<text x="${X(t)}" y="${F + 15}">${t}</text>`).join('')}
<text class="name" x="${(L + R) / 2}" y="${F + 31}">${nx}</text><text class="name" transform="translate(11 ${(T + F) / 2}) rotate(-90)">${ny}</text></g>
<g text-anchor="end">${up.map(t => `<text x="${L - 5}" y="${Y(t) + 4}">${t}</text>`).join('')}</g>`];
};
const fill = (select, names, value) => {
  select.innerHTML = names.map((n, i) => `<option value="${i}">${esc(n)}</option>`).join('');
  select.value = Math.min(value, names.length - 1);
};
const draw = () => {
  const b = +block.value, n = one.steps.length;
  steps = one.steps[b];
  const sums = steps.map((_, i) => one.steps.reduce((w, s) => [...w, w.at(-1) + s[i]], [0]));
  const [X, Y, left] = frame(padded(steps), padded(one.next_logit), `step of block ${b + 1}`, 'next token’s logit');
  const [A, U, right] = frame([0, n], [0, Math.max(...sums.map(w => w[n])) * 1.04 || 1], 'block', 'path length so far');
  xs = steps.map(X); ys = one.next_logit.map(Y); ways = sums.map(w => w.map(U));
  dots.innerHTML = left + xs.map((x, i) => `<circle data-i="${i}" cx="${x}" cy="${ys[i]}" r="3.5"/>`).join('');
  lines.innerHTML = right + `<path class="block" d="M${A(b + 1)} ${T}V${F}"/>` +
    ways.map((w, i) => `<path data-i="${i}" d="M${w.map((y, k) => A(k) + ' ' + y).join('L')}"/>`).join('');
  const about = `${models[+model.value].title}, ${one.text}: `;
  dots.ariaLabel = `${about}step of block ${b + 1} against the next token’s logit, ${xs.length} tokens`;
  lines.ariaLabel = `${about}path length of ${xs.length} tokens over ${n} blocks`;
  const ink = [];
  [...steps.keys()].sort((i, j) => steps[i] - steps[j]).forEach((i, r) => ink[i] = Math.floor(r * 5 / xs.length));
  text.innerHTML = one.pieces.map((s, k) => (k -= one.left_out, s = esc(readable(s)), k in xs
    ? `<span role="option" id="t${k}" data-i="${k}" class="q${ink[k]}" aria-selected="false">${s}</span>` : `<i>${s}</i>`)).join('');
  const kept = Math.min(at, xs.length - 1);
  at = -1;
  if (kept >= 0) show(kept);
};
const show = i => {
  if (i == at) return;
  for (const e of box.querySelectorAll('.on')) { e.classList.remove('on'); e.ariaSelected = 'false'; }
  at = i;
  for (const e of box.querySelectorAll(`[data-i="${i}"]`)) {
    e.classList.add('on');
    if (e.matches('span')) e.ariaSelected = 'true'; else e.parentNode.append(e);
  }
  text.setAttribute('aria-activedescendant', 't' + i);
  const k = i + one.left_out, said = j => readable(one.pieces[j]), way = one.steps.reduce((w, s) => w + s[i], 0);
  const share = steps.filter(s => s > steps[i]).length / (steps.length - 1 || 1);
  id('live').textContent = `“${said(k)}”, token ${i + 1} of ${steps.length}, after “${one.pieces.slice(Math.max(0, k - 6), k).map(readable).join('')}”. ` +
    `Step of block ${+block.value + 1}: ${steps[i]}, shorter than ${Math.round(share * 100)} % of the others. Whole path: ${+way.toPrecision(3)}. ` +
    `Next comes “${said(k + 1)}” with logit ${one.next_logit[i]}, p = ${Math.exp(one.next_log_probability[i]).toPrecision(2)}.`;
};
const choose = from => {
  const { excerpts } = models[+model.value];
  if (!from) fill(passage, excerpts.map(e => e.text), +passage.value || 0);
  one = excerpts[+passage.value];
  if (!from) fill(block, one.steps.map((_, i) => `${i + 1}`), one.steps.length - 1);
  draw();
};
const near = (svg, event) => {
  const r = svg.getBoundingClientRect(), x = (event.clientX - r.left) * 350 / r.width, y = (event.clientY - r.top) * 250 / r.height;
  const n = one.steps.length, k = Math.max(0, Math.min(n, Math.round((x - L) / (R - L) * n)));
  const away = svg == dots ? xs.map((a, i) => Math.hypot(a - x, ys[i] - y)) : ways.map(w => Math.abs(w[k] - y)), best = Math.min(...away);
  if (best < 24) show(away.indexOf(best));
};
fill(model, models.map(m => m.title), 0);
choose(0);
[model, passage, block].forEach((select, i) => select.onchange = () => choose(i));
for (const kind of ['pointermove', 'pointerdown']) {
  for (const svg of [dots, lines]) svg.addEventListener(kind, e => near(svg, e));
  text.addEventListener(kind, e => e.target.dataset.i && show(+e.target.dataset.i));
}
text.onkeydown = e => {
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: 1e9 }[e.key];
  if (to == null) return;
  e.preventDefault();
  show(Math.max(0, Math.min(xs.length - 1, to)));
};
text.onfocus = () => at < 0 && show(0);
text.role = 'listbox';
text.tabIndex = 0;
box.classList.add('ready');
})();
