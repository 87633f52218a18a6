// The recording, as the program wrote it.
const run = JSON.parse(document.getElementById("data").textContent);
const length = Math.max(1, run.duration);

// A span is a list of numbers: begin, end, busy, label, element (-1: none), count, failed, flags (1: crashed,
// 2: several tasks, 4: of several kinds).
const BEGIN = 0, END = 1, BUSY = 2, LABEL = 3, ELEMENT = 4, COUNT = 5, FAILED = 6, FLAGS = 7;
const CRASHED = 1, JOINED = 2, MIXED = 4;

let pool = run.pools[0];
const label = span => pool.labels[span[LABEL]] ?? "task";
const title = span => {
  if (span[FLAGS] & JOINED) return `${count(span[COUNT])} tasks, one after the other`;
  if (span[ELEMENT] < 0) return label(span);
  const last = span[ELEMENT] + span[COUNT] - 1;
  return span[COUNT] > 1 ? `${label(span)}(#${span[ELEMENT]} to #${last})` : `${label(span)}(#${span[ELEMENT]})`;
};
const describe = span => {
  const lines = [];
  const long = span[END] - span[BEGIN];
  if (span[FLAGS] & JOINED) {
    lines.push(`about ${duration(span[BUSY] / span[COUNT])} each, busy ${share(span[BUSY] / Math.max(1, long))} of ${duration(long)}`);
    lines.push(span[FLAGS] & MIXED ? `of several kinds, the first: ${label(span)}` : label(span));
  } else {
    lines.push(span[COUNT] > 1 ? `${duration(long)}, about ${duration(long / span[COUNT])} each` : duration(long));
  }
  lines.push(`from ${moment(span[BEGIN], long * 4)}`);
  if (span[FAILED] > 0) lines.push(`${count(span[FAILED])} failed`);
  if (span[FLAGS] & CRASHED) lines.push("the worker died in the midst of it");
  return lines;
};
// The first span of a list that ends after `at`.
const firstAfter = (spans, at) => {
  let low = 0, high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle][END] < at) low = middle + 1; else high = middle;
  }
  return low;
};
