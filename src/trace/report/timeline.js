// Workers and their tasks over time.
const timeline = document.getElementById("timeline");
const utilisation = document.getElementById("utilisation");
const spoken = document.getElementById("spoken");
const GUTTER = 84, AXIS = 26;
const view = {from: 0, to: length};
let chosenSpan = null;  // {track, index}
let chosenTrack = 0;

const rowHeight = () => Math.max(9, Math.min(30, Math.floor(440 / Math.max(1, pool.tracks.length))));
const xOf = (ns, width) => GUTTER + (ns - view.from) / (view.to - view.from) * (width - GUTTER);
const timeAt = (x, width) => view.from + (x - GUTTER) / (width - GUTTER) * (view.to - view.from);

const drawAxis = (pen, width, y, bottom) => {
  const window = view.to - view.from, distance = step(window, Math.max(2, (width - GUTTER) / 110));
  pen.fillStyle = color("faint");
  pen.strokeStyle = color("line");
  pen.textAlign = "center";
  for (let at = Math.ceil(view.from / distance) * distance; at <= view.to; at += distance) {
    const x = Math.round(xOf(at, width)) + 0.5;
    pen.beginPath(); pen.moveTo(x, y + 5); pen.lineTo(x, bottom); pen.stroke();
    const text = moment(at, window), half = pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(width - half - 1, Math.max(GUTTER + half, x)), y - 6);
  }
};

// Life before the first task: stripes from the start of the worker until it was ready.
const drawStarting = (pen, track, width, y, height) => {
  let started = null;
  for (const mark of track.marks) {
    if (mark.kind === "started") started = mark.at;
    if (started === null || (mark.kind !== "ready" && mark.kind !== "crashed" && mark.kind !== "ended")) continue;
    const left = Math.max(GUTTER, xOf(started, width)), right = Math.min(width, xOf(mark.at, width));
    started = null;
    if (right - left < 0.75) continue;
    pen.save();
    pen.beginPath(); pen.rect(left, y, right - left, height); pen.clip();
    pen.strokeStyle = color("start");
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let x = left - height; x < right; x += 6) { pen.moveTo(x, y + height); pen.lineTo(x + height, y); }
    pen.stroke();
    pen.restore();
  }
};

// What is narrower than a pixel is added up: each pixel shows how much of it was work.
const drawSpans = (pen, track, width, y, height) => {
  const spans = track.spans;
  const perPixel = (view.to - view.from) / Math.max(1, width - GUTTER);
  let column = -1, work = 0, bad = 0, paint = "";
  const failures = [];  // columns with short tasks that failed: last, so that no neighbour is painted over them
  const red = color("bad"), mixed = color("working"), plain = hues[root.dataset.theme];
  const paintOf = span => span[FLAGS] & MIXED ? mixed : plain[span[LABEL] % plain.length];
  const flush = () => {
    if (column >= 0 && bad) failures.push(column);
    if (column < 0 || work <= 0) return;
    pen.globalAlpha = 0.25 + 0.75 * Math.min(1, work / perPixel);
    pen.fillStyle = paint;
    pen.fillRect(column, y, 1, height);
    pen.globalAlpha = 1;
  };
  for (let i = firstAfter(spans, view.from); i < spans.length && spans[i][BEGIN] <= view.to; ++i) {
    const span = spans[i];
    const left = Math.max(GUTTER, xOf(span[BEGIN], width)), right = Math.min(width, xOf(span[END], width));
    const failed = span[FAILED] > 0 || (span[FLAGS] & CRASHED);
    if (right - left < 1.5) {
      const at = Math.floor(left);
      if (at !== column) { flush(); column = at; work = 0; bad = 0; paint = paintOf(span); }
      work += span[BUSY];
      if (failed) bad = 1;
      continue;
    }
    flush(); column = -1; work = 0; bad = 0;
    const joined = span[FLAGS] & JOINED, gap = right - left > 4 && !joined ? 0.5 : 0;
    pen.globalAlpha = joined ? 0.3 + 0.55 * span[BUSY] / Math.max(1, span[END] - span[BEGIN]) : 1;
    pen.fillStyle = failed && !joined ? red : paintOf(span);
    pen.fillRect(left + gap, y, right - left - 2 * gap, height);
    pen.globalAlpha = 1;
    if (failed && joined) { pen.fillStyle = red; pen.fillRect(left + gap, y + height - 3, right - left - 2 * gap, 3); }
    if (height >= 15 && right - left > 34) {
      pen.fillStyle = root.dataset.theme === "dark" ? "#10151a" : "#ffffff";
      pen.textAlign = "left";
      const text = joined ? `${count(span[COUNT])} tasks` : title(span);
      pen.fillText(fitted(pen, text, right - left - 12), left + 6, y + height / 2 + 0.5);
    }
  }
  flush();
  pen.fillStyle = red;
  for (const at of failures) pen.fillRect(at, y, 2, height);
};

const drawMarks = (pen, track, width, y, height) => {
  let lastX = -10;
  for (const mark of track.marks) {
    if (mark.at < view.from || mark.at > view.to || !["crashed", "retried", "timed out"].includes(mark.kind)) continue;
    const x = xOf(mark.at, width), half = Math.min(6, height / 2 - 1), middle = y + height / 2;
    if (x - lastX < 2) continue;
    lastX = x;
    pen.lineWidth = 4; pen.strokeStyle = color("card");
    for (const pass of [0, 1]) {
      pen.beginPath();
      if (mark.kind === "retried") {
        const radius = half - 1, tipX = x + radius * Math.cos(5.6), tipY = middle + radius * Math.sin(5.6);
        pen.arc(x, middle, radius, 0.6, 5.6);
        pen.moveTo(tipX, tipY - 4); pen.lineTo(tipX, tipY); pen.lineTo(tipX - 4, tipY);
      } else {
        pen.moveTo(x - half, middle - half); pen.lineTo(x + half, middle + half);
        pen.moveTo(x + half, middle - half); pen.lineTo(x - half, middle + half);
      }
      pen.stroke();
      pen.lineWidth = 2; pen.strokeStyle = mark.kind === "retried" ? color("warn") : color("bad");
    }
  }
};

const drawTimeline = () => {
  const row = rowHeight(), gap = row > 14 ? 4 : 1;
  const [pen, width] = prepare(timeline, AXIS + pool.tracks.length * (row + gap) + 4);
  pool.tracks.forEach((track, index) => {
    const y = AXIS + index * (row + gap);
    pen.fillStyle = color("track");
    pen.fillRect(GUTTER, y, width - GUTTER, row);
  });
  drawAxis(pen, width, 12, AXIS + pool.tracks.length * (row + gap));
  pool.tracks.forEach((track, index) => {
    const y = AXIS + index * (row + gap);
    drawStarting(pen, track, width, y, row);
    drawSpans(pen, track, width, y, row);
    drawMarks(pen, track, width, y, row);
    const every = row >= 14 ? 1 : Math.ceil(16 / (row + gap));
    if (index % every === 0) {
      pen.fillStyle = color(index === chosenTrack && document.activeElement === timeline ? "ink" : "soft");
      pen.textAlign = "left";
      pen.fillText(`worker ${index + 1}`, 0, y + row / 2 + 0.5);
    }
  });
  if (chosenSpan) {
    const span = pool.tracks[chosenSpan.track].spans[chosenSpan.index];
    const left = Math.max(GUTTER, xOf(span[BEGIN], width)), right = Math.min(width, xOf(span[END], width));
    if (right >= GUTTER && left <= width) {
      pen.strokeStyle = color("ink"); pen.lineWidth = 2;
      pen.strokeRect(left - 1, AXIS + chosenSpan.track * (row + gap) - 1, Math.max(3, right - left) + 2, row + 2);
    }
  }
  timeline.setAttribute("aria-label", `${pool.tracks.length} workers over ${duration(length)}; ` +
    `shown: ${moment(view.from, view.to - view.from)} to ${moment(view.to, view.to - view.from)}`);
};

// The share of workers that worked, moment by moment.
const workedIn = (from, to, columns) => {
  const work = new Float64Array(columns), width = (to - from) / columns;
  for (const track of pool.tracks)
    for (let i = firstAfter(track.spans, from); i < track.spans.length && track.spans[i][BEGIN] < to; ++i) {
      const span = track.spans[i], long = Math.max(1, span[END] - span[BEGIN]), density = span[BUSY] / long;
      const first = Math.max(0, Math.floor((span[BEGIN] - from) / width));
      const last = Math.min(columns - 1, Math.floor((span[END] - from) / width));
      for (let column = first; column <= last; ++column) {
        const left = from + column * width;
        work[column] += density * Math.max(0, Math.min(span[END], left + width) - Math.max(span[BEGIN], left));
      }
    }
  return work.map(value => value / width / Math.max(1, pool.tracks.length));
};

const drawUtilisation = () => {
  const [pen, width, height] = prepare(utilisation);
  const top = 14, bottom = height - 8, columns = Math.max(1, Math.floor((width - GUTTER) / 2));
  const shares = workedIn(view.from, view.to, columns);
  pen.strokeStyle = color("line");
  pen.fillStyle = color("faint");
  pen.textAlign = "right";
  for (const [value, text] of [[0, "0"], [0.5, ""], [1, "100 %"]]) {
    const y = Math.round(bottom - value * (bottom - top)) + 0.5;
    pen.beginPath(); pen.moveTo(GUTTER, y); pen.lineTo(width, y); pen.stroke();
    pen.fillText(text, GUTTER - 8, y);
  }
  pen.textAlign = "left";
  pen.fillStyle = color("soft");
  pen.fillText("busy", 0, (top + bottom) / 2);
  pen.beginPath();
  pen.moveTo(GUTTER, bottom);
  shares.forEach((value, column) => {
    const y = bottom - Math.min(1, value) * (bottom - top);
    pen.lineTo(GUTTER + column / columns * (width - GUTTER), y);
    pen.lineTo(GUTTER + (column + 1) / columns * (width - GUTTER), y);
  });
  pen.lineTo(width, bottom);
  pen.closePath();
  pen.fillStyle = color("working");
  pen.globalAlpha = 0.28; pen.fill(); pen.globalAlpha = 1;
  pen.strokeStyle = color("working"); pen.lineWidth = 1.25; pen.stroke();
  const mean = shares.reduce((sum, value) => sum + value, 0) / columns;
  utilisation.setAttribute("aria-label", `Utilisation over time: ${share(mean)} on average in the part shown`);
};

let frame = 0;
const redraw = () => {
  if (frame) return;
  frame = requestAnimationFrame(() => { frame = 0; drawTimeline(); drawUtilisation(); });
};
const look = (from, to) => {
  const least = Math.min(length, 200);
  let width = Math.min(length, Math.max(least, to - from));
  const middle = (from + to) / 2;
  view.from = Math.max(0, Math.min(length - width, middle - width / 2));
  view.to = view.from + width;
  redraw();
};
const zoom = (factor, at = (view.from + view.to) / 2) => {
  const width = Math.min(length, Math.max(Math.min(length, 200), (view.to - view.from) * factor));
  const part = (at - view.from) / (view.to - view.from);
  look(at - part * width, at - part * width + width);
};
const pan = part => look(view.from + part * (view.to - view.from), view.to + part * (view.to - view.from));

const spanAt = (x, y) => {
  const row = rowHeight(), gap = row > 14 ? 4 : 1, track = Math.floor((y - AXIS) / (row + gap));
  if (track < 0 || track >= pool.tracks.length || x < GUTTER) return null;
  const width = timeline.clientWidth, reach = 2 * (view.to - view.from) / width;
  const at = timeAt(x, width), spans = pool.tracks[track].spans;
  const mark = pool.tracks[track].marks.find(m => Math.abs(m.at - at) < 3 * reach && ["crashed", "retried", "timed out"].includes(m.kind));
  const index = firstAfter(spans, at - reach);
  return {track, index: index < spans.length && spans[index][BEGIN] <= at + reach ? index : -1, mark, at};
};

const say = found => {
  const span = pool.tracks[found.track].spans[found.index];
  spoken.textContent = `Worker ${found.track + 1}: ${title(span)}, ${describe(span).join(", ")}`;
};
const choose = (track, index) => {
  const spans = pool.tracks[track]?.spans ?? [];
  if (spans.length === 0) return;
  chosenTrack = track;
  chosenSpan = {track, index: Math.max(0, Math.min(spans.length - 1, index))};
  const span = spans[chosenSpan.index];
  if (span[END] < view.from || span[BEGIN] > view.to) look(span[BEGIN] - (view.to - view.from) / 2, span[BEGIN] + (view.to - view.from) / 2);
  say(chosenSpan);
  redraw();
};

timeline.addEventListener("wheel", event => {
  if (event.ctrlKey || Math.abs(event.deltaY) >= Math.abs(event.deltaX)) {
    const box = timeline.getBoundingClientRect();
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), timeAt(event.clientX - box.left, box.width));
  } else {
    pan(event.deltaX / timeline.clientWidth);
  }
  event.preventDefault();
}, {passive: false});
let drag = null;
timeline.addEventListener("pointerdown", event => {
  drag = {x: event.clientX, from: view.from, to: view.to, moved: false};
  timeline.setPointerCapture(event.pointerId);
});
timeline.addEventListener("pointermove", event => {
  const box = timeline.getBoundingClientRect();
  if (drag) {
    const by = (drag.x - event.clientX) / (box.width - GUTTER) * (drag.to - drag.from);
    if (Math.abs(drag.x - event.clientX) > 3) { drag.moved = true; timeline.classList.add("dragging"); hideTip(); }
    if (drag.moved) look(drag.from + by, drag.to + by);
    return;
  }
  const found = spanAt(event.clientX - box.left, event.clientY - box.top);
  if (!found || (found.index < 0 && !found.mark)) { hideTip(); return; }
  if (found.mark) showTip(event.clientX, event.clientY, `worker ${found.track + 1} ${found.mark.kind}`, [found.mark.text, `at ${moment(found.mark.at, view.to - view.from)}`]);
  else {
    const span = pool.tracks[found.track].spans[found.index];
    showTip(event.clientX, event.clientY, title(span), [...describe(span), `worker ${found.track + 1}`]);
  }
});
timeline.addEventListener("pointerup", event => {
  const box = timeline.getBoundingClientRect();
  const found = drag && !drag.moved ? spanAt(event.clientX - box.left, event.clientY - box.top) : null;
  drag = null;
  timeline.classList.remove("dragging");
  if (found && found.index >= 0) choose(found.track, found.index);
});
timeline.addEventListener("pointerleave", hideTip);
timeline.addEventListener("dblclick", event => {
  const box = timeline.getBoundingClientRect();
  const found = spanAt(event.clientX - box.left, event.clientY - box.top);
  if (!found || found.index < 0) return;
  const span = pool.tracks[found.track].spans[found.index], long = span[END] - span[BEGIN];
  look(span[BEGIN] - long, span[END] + long);
});
timeline.addEventListener("keydown", event => {
  const tracks = pool.tracks.length;
  const nearest = track => firstAfter(pool.tracks[track].spans, view.from);
  const keys = {
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": () => look(0, length),
    "ArrowLeft": () => pan(-0.15), "ArrowRight": () => pan(0.15), "Home": () => look(0, view.to - view.from),
    "End": () => look(length - (view.to - view.from), length),
    "ArrowUp": () => choose((chosenTrack + tracks - 1) % tracks, nearest((chosenTrack + tracks - 1) % tracks)),
    "ArrowDown": () => choose((chosenTrack + 1) % tracks, nearest((chosenTrack + 1) % tracks)),
    ".": () => choose(chosenTrack, chosenSpan?.track === chosenTrack ? chosenSpan.index + 1 : nearest(chosenTrack)),
    ",": () => choose(chosenTrack, chosenSpan?.track === chosenTrack ? chosenSpan.index - 1 : nearest(chosenTrack)),
  };
  const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
  if (!action) return;
  action();
  event.preventDefault();
});
timeline.addEventListener("focus", redraw);
timeline.addEventListener("blur", redraw);
document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
document.getElementById("zoom-out").addEventListener("click", () => zoom(2));
document.getElementById("zoom-all").addEventListener("click", () => look(0, length));
