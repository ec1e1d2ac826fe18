// Search where no server answers: loads the index of each wanted language once and asks it here.
// What counts as the same word comes with the index (bot/rendering/search.py): nothing about it stands here.
(() => {
  "use strict";
  const form = document.querySelector("[data-find]");
  const said = document.querySelector("[data-said]");
  const list = document.querySelector("[data-found]");
  const everything = document.querySelector("[data-everything]");
  if (!form || !said || !list || !window.fetch) return;
  const field = form.elements.namedItem("q");
  const choice = form.elements.namedItem("in");
  const SHOWN = 100;
  const has = (things, name) => Object.prototype.hasOwnProperty.call(things, name);
  const loaded = new Map();
  let asked = 0;

  const prepared = (index) => ({
    ...index,
    dropped: new RegExp(index.rules.dropped, "gu"),
    word: new RegExp(index.rules.word, "gu"),
    article: new RegExp(index.rules.article, "u"),
    unspaced: new RegExp(index.rules.unspaced, "u"),
    runs: new RegExp(`${index.rules.unspaced}+|[^${index.rules.unspaced.slice(1)}+`, "gu"),
  });

  const load = (url) => {
    if (!loaded.has(url)) {
      loaded.set(url, fetch(url, { credentials: "omit" }).then((answer) => {
        if (!answer.ok) throw new Error(String(answer.status));
        return answer.json();
      }).then(prepared).catch((error) => { loaded.delete(url); throw error; }));
    }
    return loaded.get(url);
  };

  // ---------------------------------------------------------------- words, as bot/rendering/search.py has them

  const same = (index, text) => {
    const apart = text.normalize("NFKD").toLowerCase().normalize("NFKD").replace(index.dropped, "");
    return Array.from(apart, (letter) => has(index.rules.same, letter) ? index.rules.same[letter] : letter).join("").normalize("NFC");
  };

  const pieces = (index, text) => (same(index, text).match(index.word) || [])
    .flatMap((word) => word.match(index.runs) || [])
    .map((run) => [Array.from(run), index.unspaced.test(run)]);

  const short = (index, letters) => letters.slice(0, index.rules.longest).join("");
  const bare = (index, letters) => short(index, Array.from(letters.join("").replace(index.article, "")));

  const entries = (index, text) => new Set(pieces(index, text).flatMap(([letters, unspaced]) => unspaced
    ? letters.map((_, at) => letters.slice(at, at + 2).join(""))
    : [short(index, letters), bare(index, letters)]));

  const terms = (index, question) => {
    const found = new Map();
    for (const [letters, unspaced] of pieces(index, question)) {
      if (unspaced && letters.length > 1) {
        letters.slice(1).forEach((_, at) => found.set(`=${letters.slice(at, at + 2).join("")}`, false));
      } else {
        found.set(`^${bare(index, letters)}`, true);
      }
    }
    return Array.from(found, ([text, begins]) => ({ text: text.slice(1), begins })).slice(0, index.rules.terms);
  };

  // ---------------------------------------------------------------- answers

  const numbers = (steps) => {
    let here = 0;
    return steps.split(" ").map((step) => (here += parseInt(step, 36)));
  };

  const holding = (index, term) => {
    if (!term.begins) return new Set(has(index.entries, term.text) ? numbers(index.entries[term.text]) : []);
    const found = new Set();
    for (const [entry, steps] of Object.entries(index.entries)) {
      if (entry.startsWith(term.text)) numbers(steps).forEach((number) => found.add(number));
    }
    return found;
  };

  const find = (index, question) => {
    const wanted = terms(index, question);
    if (!wanted.length) return [];
    const sets = wanted.map((term) => holding(index, term));
    const found = [...sets[0]].filter((number) => sets.every((set) => set.has(number))).sort((a, b) => a - b);
    const inTitle = (number) => {
      const title = [...entries(index, index.documents[number][1])];
      return wanted.every((term) => title.some((entry) => term.begins ? entry.startsWith(term.text) : entry === term.text));
    };
    const ranked = found.map((number) => [inTitle(number) ? 0 : 1, number]);
    return ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, number]) => index.documents[number]);
  };

  // ---------------------------------------------------------------- the page

  const element = (name, text, extra = {}) => Object.assign(document.createElement(name), { textContent: text }, extra);

  const row = ([path, title, lang, dir, source, day]) => {
    const line = element("li", "", { lang, dir });
    const place = element("span", "", { className: "source" });
    const dot = element("span", " · ");
    dot.setAttribute("aria-hidden", "true");
    place.append(element("bdi", source), dot, element("bdi", day));
    line.append(element("a", title, { href: path }), " ", place);
    return line;
  };

  const counted = (count) => {
    if (!count) return form.dataset.none;
    let plural = "other";
    try { plural = new Intl.PluralRules(document.documentElement.lang).select(count); } catch { /* "other" */ }
    return (form.dataset[plural] || form.dataset.other).replace("{count}", String(count));
  };

  const show = (found, words) => {
    list.replaceChildren(...found.slice(0, SHOWN).map(row));
    said.textContent = words;
    if (everything) everything.hidden = found.length > 0;
  };

  const ask = async () => {
    const turn = ++asked;
    const question = field.value.trim();
    if (!question) { show([], ""); return; }
    const places = [...form.querySelectorAll("[data-index]")].filter((place) => !choice || !choice.value || place.value === choice.value);
    const slow = setTimeout(() => { if (turn === asked) said.textContent = form.dataset.loading; }, 300);
    try {
      const indexes = await Promise.all(places.map((place) => load(place.dataset.index)));
      const found = indexes.flatMap((index) => find(index, question));
      if (turn === asked) show(found, counted(found.length));
    } catch {
      if (turn === asked) show([], form.dataset.failed);
    } finally {
      clearTimeout(slow);
    }
  };

  let wait = 0;
  const soon = () => { clearTimeout(wait); wait = setTimeout(ask, 200); };
  form.hidden = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(wait); ask(); });
  field.addEventListener("input", soon);
  if (choice) choice.addEventListener("change", ask);
})();
