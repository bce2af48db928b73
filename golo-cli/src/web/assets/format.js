// Numbers for people, in three digits and with a unit, as the summary has them.

const three = (value) => {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return String(Number(value.toFixed(decimals)));
};

// Formats a duration in milliseconds.
export const duration = (millis) => {
  if (millis === null || millis === undefined) return "-";
  if (millis === 0) return "0s";
  if (millis < 0.001) return `${three(millis * 1e6)}ns`;
  if (millis < 0.9995) return `${three(millis * 1e3)}µs`;
  if (millis < 999.5) return `${three(millis)}ms`;
  if (millis < 59_950) return `${three(millis / 1e3)}s`;
  return time(millis / 1e3);
};

// Formats a time in seconds: `1m30s`.
export const time = (seconds) => {
  const whole = Math.round(seconds);
  const two = (large, size, unit, small) =>
    `${Math.floor(large / size)}${unit}${large % size ? `${large % size}${small}` : ""}`;
  if (whole < 60) return `${whole}s`;
  return whole < 3600 ? two(whole, 60, "m", "s") : two(Math.round(whole / 60), 60, "h", "m");
};

// Formats a number.
export const number = (value) => {
  if (value === null || value === undefined) return "-";
  return value >= 1000 ? Math.round(value).toLocaleString("en") : three(value);
};

const UNITS = {
  ns: 1, "µs": 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12, d: 8.64e13,
  B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, PB: 1e15,
};

// Returns the number that a text of the summary stands for, to sort by; -1 if it is none.
export const valueOf = (text) => {
  const plain = text.replaceAll(",", "").replace(/^[<>]/, "");
  let sum = -1;
  for (const [, digits, unit] of plain.matchAll(/(-?[\d.]+(?:e\+?\d+)?)(ns|µs|ms|[smhd]|[kMGTP]?B)?/g)) {
    sum = Math.max(sum, 0) + Number(digits) * (UNITS[unit] ?? 1);
  }
  return text.startsWith("<") ? sum / 2 : sum;
};
