// How long tasks take: a histogram over a logarithmic axis.
const distribution = document.getElementById("distribution");
const drawDistribution = () => {
  const [pen, width, height] = prepare(distribution);
  const buckets = pool.times, most = Math.max(1, ...buckets.map(bucket => bucket[2]));
  if (buckets.length === 0) {
    pen.fillStyle = color("soft"); pen.textAlign = "left"; pen.fillText("No task has ended.", 0, 20);
    return;
  }
  const low = Math.log10(Math.max(1, buckets[0][0])) - 0.15, high = Math.log10(buckets[buckets.length - 1][1]) + 0.15;
  const x = ns => (Math.log10(Math.max(1, ns)) - low) / (high - low) * width;
  const top = 26, bottom = height - 24;
  pen.strokeStyle = color("line");
  pen.beginPath(); pen.moveTo(0, bottom + 0.5); pen.lineTo(width, bottom + 0.5); pen.stroke();
  pen.fillStyle = color("working");
  for (const [from, to, n] of buckets) {
    const tall = Math.max(n > 0 ? 2 : 0, n / most * (bottom - top));
    pen.fillRect(x(from) + 0.5, bottom - tall, Math.max(1.5, Math.min(48, x(to) - x(from) - 1)), tall);
  }
  pen.fillStyle = color("faint"); pen.textAlign = "center";
  const decades = [];
  for (let power = Math.ceil(low); power <= high; ++power) decades.push(power);
  const marks = decades.length >= 2 ? decades.map(power => 10 ** power) : [buckets[0][0], buckets[buckets.length - 1][1]];
  let right = -1;
  for (const value of marks) {
    const text = duration(value), half = pen.measureText(text).width / 2;
    const at = Math.min(width - half, Math.max(half, x(value)));
    if (at - half < right + 8) continue;
    pen.fillText(text, at, bottom + 14);
    right = at + half;
  }
  let last = -100;
  for (const [name, value] of pool.percentiles.filter(p => p[0] !== "longest")) {
    const at = Math.round(x(value)) + 0.5, half = pen.measureText(name).width / 2;
    pen.strokeStyle = color("faint"); pen.setLineDash([2, 3]);
    pen.beginPath(); pen.moveTo(at, top - 8); pen.lineTo(at, bottom); pen.stroke();
    pen.setLineDash([]);
    const place = Math.min(width - half, Math.max(half, at));
    if (place - half < last + 8) continue;
    pen.fillStyle = color("soft");
    pen.fillText(name, place, top - 16);
    last = place + half;
  }
  distribution.setAttribute("aria-label", `Histogram of ${count(pool.timed)} task times: ` +
    pool.percentiles.map(([name, value]) => `${name} ${duration(value)}`).join(", "));
};
distribution.addEventListener("pointermove", event => {
  const box = distribution.getBoundingClientRect(), buckets = pool.times;
  if (buckets.length === 0) return;
  const low = Math.log10(Math.max(1, buckets[0][0])) - 0.15, high = Math.log10(buckets[buckets.length - 1][1]) + 0.15;
  const ns = 10 ** (low + (event.clientX - box.left) / box.width * (high - low));
  const bucket = buckets.find(([from, to]) => ns >= from && ns < to);
  if (!bucket || bucket[2] === 0) { hideTip(); return; }
  showTip(event.clientX, event.clientY, `${duration(bucket[0])} to ${duration(bucket[1])}`,
          [`${count(bucket[2])} tasks, ${share(bucket[2] / pool.timed)}`]);
});
distribution.addEventListener("pointerleave", hideTip);
