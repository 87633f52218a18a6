// Durations, counts and shares as people write them. Times are nanoseconds.
const fixed = (value, digits) => {
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
};
const figures = value => fixed(value, value < 10 ? 1 : 0);
const count = value => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
const share = value => value > 0 && value < 0.005 ? "<1\u202f%" : `${fixed(value * 100, 0)}\u202f%`;
const duration = ns => {
  if (ns <= 0) return "0";
  if (ns < 100) return `${fixed(ns, 0)}\u202fns`;
  if (ns < 99500) return `${figures(ns / 1e3)}\u202fµs`;
  if (ns < 999500) return `${fixed(ns / 1e3, 0)}\u202fµs`;
  if (ns < 999.5e6) return `${figures(ns / 1e6)}\u202fms`;
  if (ns < 99.5e9) return `${figures(ns / 1e9)}\u202fs`;
  const seconds = Math.round(ns / 1e9);
  const two = n => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return hours > 0 ? `${hours}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
                   : `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
};
const rate = perSecond => {
  const units = ["/s", "\u202fk/s", "\u202fM/s", "\u202fG/s"];
  let unit = 0;
  while (perSecond >= 999.5 && unit + 1 < units.length) { perSecond /= 1000; ++unit; }
  return figures(perSecond) + units[unit];
};
// A moment of the run, as exactly as a window of `width` nanoseconds needs it.
const moment = (ns, width) => {
  const [unit, name] = width >= 2e9 ? [1e9, "s"] : width >= 2e6 ? [1e6, "ms"] : [1e3, "µs"];
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(width / unit / 20))));
  return `${count(Math.trunc(ns / unit))}${fixed(ns / unit - Math.trunc(ns / unit), digits).replace(/^-?0/, "")}\u202f${name}`;
};
// Distance between marks of an axis: 1, 2 or 5 of a power of ten.
const step = (width, marks) => {
  const least = width / marks, power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(n => n * power).find(n => n >= least);
};
