// Everything that is text.
const element = (name, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
};
const table = (id, columns, rows, empty) => {
  const target = document.getElementById(id);
  if (rows.length === 0) {
    target.replaceChildren(element("caption", {className: "none", textContent: empty}));
    return;
  }
  const head = element("tr", {}, ...columns.map(([name, kind]) => element("th", {scope: "col", className: kind ?? "", textContent: name})));
  const body = rows.map(cells => element("tr", {}, ...cells.map((cell, i) =>
    element("td", {className: columns[i][1] ?? ""}, cell))));
  target.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
};
const phases = [["start", "starting"], ["init", "initializing"], ["working", "working"], ["sending", "handing over"], ["waiting", "waiting"]];

const fillFacts = () => {
  const s = pool.stats;
  const facts = [["Wall time", duration(length)], ["Tasks", count(s.tasks)], ["Rate", rate(s.tasks / (length / 1e9))],
                 ["Workers used", share(s.used)], ["Median task", pool.times.length ? duration(pool.percentiles[0][1]) : "–"],
                 ["Failed", count(s.failed), s.failed > 0], ["Crashes", count(s.crashes), s.crashes > 0]];
  if (s.retried > 0) facts.push(["Retried", count(s.retried)]);
  if (s.timeouts > 0) facts.push(["Timed out", count(s.timeouts), true]);
  document.getElementById("facts").replaceChildren(...facts.map(([name, value, bad]) =>
    element("div", {className: bad ? "bad" : ""}, element("dt", {textContent: name}), element("dd", {textContent: value}))));
  document.getElementById("advice").replaceChildren(...pool.advice.map(text => element("li", {textContent: text})));
  document.getElementById("advice-box").hidden = pool.advice.length === 0;
};
const fillLegend = () => {
  const used = new Map();
  for (const track of pool.tracks)
    for (const span of track.spans) used.set(span[LABEL], (used.get(span[LABEL]) ?? 0) + span[COUNT]);
  const names = [...used].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([index]) =>
    element("span", {}, element("i", {style: `background:${hue(index)}`}), pool.labels[index] ?? "task"));
  if (pool.tracks.some(track => track.spans.some(span => span[FLAGS] & MIXED)))
    names.push(element("span", {}, element("i", {style: "background:var(--working)"}), "many short tasks"));
  const has = kind => pool.tracks.some(track => track.marks.some(mark => mark.kind === kind));
  const failed = pool.tracks.some(track => track.spans.some(span => span[FAILED] > 0 || span[FLAGS] & CRASHED));
  if (failed || has("crashed")) names.push(element("span", {}, element("i", {style: "background:var(--bad)"}), has("crashed") ? "failed, ✕ crashed" : "failed"));
  if (has("retried")) names.push(element("span", {className: "retried"}, "↻ retried"));
  names.push(element("span", {}, element("i", {style: "background:repeating-linear-gradient(135deg,var(--start) 0 2px,transparent 2px 5px)"}), "starting"));
  names.push(element("span", {}, element("i", {style: "background:var(--track);box-shadow:inset 0 0 0 1px var(--line)"}), "idle"));
  document.getElementById("legend").replaceChildren(...names);
};
const fillTables = () => {
  document.getElementById("percentiles").replaceChildren(...pool.percentiles.map(([name, value]) =>
    element("div", {}, element("dt", {textContent: name}), element("dd", {textContent: duration(value)}))));
  document.getElementById("phases").replaceChildren(...phases.map(([name, text]) =>
    element("span", {}, element("i", {style: `background:var(--${name})`}), text)));
  table("workers", [["Worker", "text"], ["Process", ""], ["Tasks", ""], ["Failed", ""], ["", "wide"], ["Start", ""], ["Init", ""], ["Waiting", ""],
                    ["Working", ""], ["Handing over", ""], ["Used", ""], ["Restarts", ""]],
    pool.workers.map(w => {
      const whole = phases.reduce((sum, [name]) => sum + w[name], 0) || 1;
      const bar = element("div", {className: "stack", role: "img"}, ...phases.map(([name]) =>
        element("i", {style: `width:${100 * w[name] / whole}%;background:var(--${name})`})));
      bar.setAttribute("aria-label", phases.map(([name, text]) => `${text} ${share(w[name] / whole)}`).join(", "));
      return [String(w.number), w.pid ? String(w.pid) : "–", count(w.tasks), count(w.failed), bar, duration(w.start), duration(w.init),
              duration(w.waiting), duration(w.working), duration(w.sending), share(w.used), String(w.restarts)];
    }), "There were no workers.");
  table("slowest", [["Task", "text name"], ["Took", ""], ["Worker", ""], ["At", ""]],
    pool.slowest.map(t => [t.name, duration(t.took), String(t.worker), duration(t.at)]), "No task has ended.");

  const most = 200, events = [];
  pool.tracks.forEach((track, index) => {
    for (const mark of track.marks)
      if (mark.kind !== "started" && mark.kind !== "ready" && mark.kind !== "ended") events.push([mark.at, mark.kind, mark.text, index + 1]);
    for (const span of track.spans)
      if (span[FAILED] > 0 && !(span[FLAGS] & CRASHED)) events.push([span[END], "failed", span[FLAGS] & JOINED ? `${count(span[FAILED])} of ${count(span[COUNT])} tasks` : title(span), index + 1]);
  });
  events.sort((a, b) => a[0] - b[0]);
  document.getElementById("events-card").hidden = events.length === 0;
  table("events", [["At", "text"], ["What", "text"], ["Task", "text name"], ["Worker", ""]], events.slice(0, most).map(([at, kind, text, worker]) =>
    [moment(at, length / 50), element("span", {className: kind === "retried" ? "retried" : "crashed", textContent: kind}), text, String(worker)]), "");
  const more = document.getElementById("events-more");
  const left = Math.max(0, events.length - most) + run.forgotten;
  more.hidden = left === 0;
  more.textContent = `and ${count(left)} more`;
};
