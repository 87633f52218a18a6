// A canvas as sharp as the screen; returns its context and its size in CSS pixels.
const prepare = (canvas, height) => {
  const ratio = devicePixelRatio || 1;
  if (height) canvas.style.height = `${height}px`;
  const width = canvas.clientWidth, tall = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(tall * ratio));
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, tall);
  pen.font = "12px system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
  pen.textBaseline = "middle";
  return [pen, width, tall];
};
const fitted = (pen, text, width) => {
  if (pen.measureText(text).width <= width) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(text.slice(0, middle) + "…").width <= width) low = middle; else high = middle - 1;
  }
  return low > 0 ? text.slice(0, low) + "…" : "";
};
const tip = document.getElementById("tip");
const showTip = (x, y, head, lines) => {
  tip.replaceChildren(Object.assign(document.createElement("b"), {textContent: head}),
                      ...lines.map(line => Object.assign(document.createElement("div"), {textContent: line})));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(innerWidth - box.width - 8, x + 14))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 18}px`;
};
const hideTip = () => { tip.hidden = true; };
