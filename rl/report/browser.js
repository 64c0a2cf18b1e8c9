// The problem browser: shows one problem at a time, keeps a person's marks, exports them. What the model wrote is set as text alone.
(() => {
  const source = document.getElementById("problem-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const at = (id) => document.getElementById(id);
  const MARKS = ["right", "wrong", "unclear"];
  const KEYS = { r: "right", w: "wrong", c: "unclear" };

  const make = (tag, name, ...content) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...content); // strings become text nodes
    return element;
  };
  const percent = (share) => (100 * share).toFixed(0) + " %";
  // Control characters, and those that turn the direction of a line, would show a program as other than it is.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  const visible = (text) => text.replace(HIDDEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

  const KEYWORDS = "and as assert async await break class continue def del elif else except False finally for from global if import in is " +
    "lambda None nonlocal not or pass raise return True try while with yield";
  const TOKEN = new RegExp(
    "(\"\"\"[^]*?\"\"\"|'''[^]*?'''|\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\\\n])*')|(#[^\\n]*)|\\b(" +
    KEYWORDS.split(" ").join("|") + ")\\b|\\b(\\d[\\w.]*)", "g");
  const python = (code) => {
    const pre = make("pre", "code");
    const text = visible(code);
    let end = 0;
    for (const match of text.matchAll(TOKEN)) {
      pre.append(text.slice(end, match.index));
      pre.append(make("span", match[1] ? "s" : match[2] ? "c" : match[3] ? "k" : "m", match[0]));
      end = match.index + match[0].length;
    }
    pre.append(text.slice(end));
    return pre;
  };

  // Marks: {problem id: {mark, winner}}. Those of the last audit first, then what this browser remembers.
  const store = "ucoder-marks-" + data.run;
  let remembers = true;
  const marks = Object.assign(Object.create(null), data.marks);
  try {
    const kept = JSON.parse(localStorage.getItem(store) || "{}");
    for (const [id, mark] of Object.entries(kept)) if (mark && MARKS.includes(mark.mark)) marks[id] = mark; else delete marks[id];
  } catch { remembers = false; }
  const keep = () => { try { localStorage.setItem(store, JSON.stringify(marks)); } catch { remembers = false; } };
  const markOf = (problem) => (marks[problem.id] && marks[problem.id].winner === problem.winner ? marks[problem.id].mark : null);
  const setMark = (problem, mark) => {
    if (!problem || problem.winner === null) return;
    marks[problem.id] = mark ? { mark, winner: problem.winner } : null;
    keep();
    refresh();
  };

  const list = at("problem-list"), shownAt = at("problem-shown"), which = at("which"), order = at("order"), search = at("search");
  let current = null, visibleProblems = [];

  const chosen = () => {
    const words = search.value.trim().toLowerCase();
    const tests = {
      winner: (p) => p.winner !== null,
      kept: (p) => p.kept,
      unmarked: (p) => p.winner !== null && !markOf(p),
      marked: (p) => Boolean(markOf(p)),
      none: (p) => p.winner === null,
    };
    const found = data.problems.filter((p) => tests[which.value](p) &&
      (!words || [p.title, p.statement, p.id, p.topic].some((text) => text.toLowerCase().includes(words))));
    return order.value === "random" ? found : [...found].sort((a, b) => b.top_share - a.top_share);
  };

  const symbol = (problem) => ({ right: "✓", wrong: "✕", unclear: "?" }[markOf(problem)] || "");
  const rebuild = () => {
    visibleProblems = chosen();
    if (!visibleProblems.includes(current)) current = visibleProblems[0] || null;
    list.replaceChildren(...visibleProblems.map((problem) => {
      const fill = make("i");
      fill.style.width = (100 * problem.top_share).toFixed(1) + "%";
      const button = make("button", "", make("span", "done", symbol(problem)), make("span", "name", visible(problem.title || problem.id)),
        make("span", "meter", fill), make("span", "share", percent(problem.top_share)));
      button.type = "button";
      button.dataset.id = problem.id;
      return button;
    }));
    at("count").textContent = visibleProblems.length + " of " + data.problems.length + " problems" +
      (data.voted > data.problems.length ? " shown of " + data.voted + " with a vote" : "");
    show(current);
  };

  const chip = (text, status) => make("span", "chip" + (status ? " " + status : ""), text);
  const cluster = (problem, found, place) => {
    const bar = make("span", "meter" + (found.winner ? " win" : ""), make("i"));
    bar.firstChild.style.width = (100 * found.share).toFixed(1) + "%";
    const summary = make("summary", "", bar, make("b", "", percent(found.share)),
      make("span", "", found.members + (found.members === 1 ? " sample" : " samples") + (found.winner ? " · winner" : "")));
    for (const part of ["consensus", "probe"]) {
      if (found[part] !== null) summary.append(make("span", "reward", part + " " + found[part].toFixed(2)));
    }
    const rows = problem.inputs.map((text, i) => {
      const [kind, outcome] = found.outcomes[i] || ["", "–"];
      return make("tr", "", make("td", "", make("code", "", visible(text))),
        make("td", "", make("code", kind === "value" || !kind ? "" : "err", visible(outcome))));
    });
    const heads = make("thead", "", make("tr", "", make("th", "", "input"), make("th", "", "outcome")));
    const table = make("div", "scroll", make("table", "io", heads, make("tbody", "", ...rows)));
    const details = make("details", "", summary, make("div", "cluster", python(found.code), table));
    details.open = place < 2;
    return details;
  };

  const show = (problem) => {
    current = problem;
    for (const button of list.children) button.setAttribute("aria-current", problem && button.dataset.id === problem.id ? "true" : "false");
    if (!problem) { shownAt.replaceChildren(make("p", "empty", "No problem fits.")); refresh(); return; }
    const tags = make("p", "tags", chip("round " + problem.round));
    if (problem.topic) tags.append(chip(visible(problem.topic)));
    if (problem.source !== "self") tags.append(chip("from " + visible(problem.source)));
    tags.append(chip(problem.kept ? "trained on" : "not trained on" + (problem.repeats ? ": behaves like " + visible(problem.repeats) : "")));
    if (problem.label_correct !== null) {
      tags.append(chip(problem.label_correct ? "✓ label right (oracle)" : "✕ label wrong (oracle)", problem.label_correct ? "good" : "bad"));
    }
    const votes = problem.votes + " of " + problem.samples + " samples have a vote" +
      (problem.without_program ? ", " + problem.without_program + " wrote no program; " : "; ") + (problem.winner === null ? "no behaviour won" : "winner " + percent(problem.top_share)) +
      (problem.entropy === null ? "" : "; entropy " + problem.entropy.toFixed(2) + " nats") + ".";
    const card = make("article", "card problem", make("h3", "", visible(problem.title || problem.id)), tags,
      make("p", "statement", visible(problem.statement)), python(problem.interface), make("p", "note", votes),
      ...problem.clusters.map((found, place) => cluster(problem, found, place)));
    if (problem.hidden_clusters) card.append(make("p", "note", "and " + problem.hidden_clusters + " smaller ones"));
    shownAt.replaceChildren(card);
    refresh();
  };

  // What changes with a mark, without building the list again.
  const refresh = () => {
    const counts = { right: 0, wrong: 0, unclear: 0 };
    for (const problem of data.problems) if (markOf(problem)) counts[markOf(problem)] += 1;
    const total = counts.right + counts.wrong + counts.unclear;
    at("marked").textContent = total + " marked: " + counts.right + " right, " + counts.wrong + " wrong, " + counts.unclear + " cannot tell" +
      (remembers ? "" : ". This browser keeps no marks: export them before the page is closed");
    at("export").disabled = !total;
    for (const button of document.querySelectorAll("#mark button")) {
      button.disabled = !current || current.winner === null;
      button.setAttribute("aria-pressed", current && markOf(current) === button.dataset.mark ? "true" : "false");
    }
    visibleProblems.forEach((problem, i) => { if (list.children[i]) list.children[i].firstChild.textContent = symbol(problem); });
  };

  const step = (by) => {
    const place = visibleProblems.indexOf(current) + by;
    if (visibleProblems[place]) {
      show(visibleProblems[place]);
      list.children[place].scrollIntoView({ block: "nearest" });
    }
  };
  const markAndGoOn = (mark) => { setMark(current, current && markOf(current) === mark ? null : mark); if (current && markOf(current)) step(1); };

  const exported = () => ({
    format: "ucoder-marks",
    version: 1,
    run: data.run,
    name: data.name,
    marks: data.problems.filter((p) => markOf(p)).map((p) => ({ problem: p.id, round: p.round, winner: p.winner, mark: markOf(p) })),
  });
  at("export").addEventListener("click", () => {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(exported(), null, 1) + "\n"], { type: "application/json" }));
    link.download = "marks.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) show(data.problems.find((p) => p.id === button.dataset.id));
  });
  at("mark").addEventListener("click", (event) => { if (event.target.dataset.mark) markAndGoOn(event.target.dataset.mark); });
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  for (const control of [which, order]) control.addEventListener("change", rebuild);
  search.addEventListener("input", rebuild);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = at("clusters").getBoundingClientRect();
    if (box.bottom < 0 || box.top > innerHeight) return; // only while the browser is on the screen
    if (KEYS[event.key]) markAndGoOn(KEYS[event.key]);
    else if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
  });
  at("browser").hidden = false;
  rebuild();
})();
