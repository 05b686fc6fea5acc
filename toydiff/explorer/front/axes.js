// Axes of a chart: where they end, and at which round numbers their ticks stand.

// Ticks at the smallest step of 1, 2 or 5 times a power of ten that makes at most `most` intervals.
function stepOf(span, most) {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => span / step <= most * (1 + 1e-9));
}
export function ticksBetween(low, high, most) {
  const step = stepOf(high - low, most);
  const [first, last] = [Math.ceil(low / step - 1e-6), Math.floor(high / step + 1e-6)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
// Powers of ten where two or more lie on the axis; else 1, 2 and 5 times them; else what a linear axis would have.
function logTicks(low, high, most) {
  const powers = ticksBetween(Math.log10(low), Math.log10(high), most).filter(Number.isInteger);
  if (powers.length > 1) return powers.map((power) => Number(`1e${power}`));
  const first = Math.floor(Math.log10(low));
  const fine = [0, 1, 2].flatMap((more) => [1, 2, 5].map((digit) => Number(`${digit}e${first + more}`)));
  const found = fine.filter((tick) => tick >= low && tick <= high);
  return found.length > 1 && found.length <= most + 1 ? found : ticksBetween(low, high, Math.min(most, 3));
}

const [briefForm, fullForm] = [3, 6].map((maximumSignificantDigits) => // made once: that takes long
  new Intl.NumberFormat("en", { maximumSignificantDigits }));
export const numberWords = (value) => fullForm.format(value).replace("-", "−");
export const briefNumber = (value) => briefForm.format(value).replace("-", "−");
function powerWords(value) {
  const raised = (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)];
  return `10${Array.from(String(Math.log10(value)), raised).join("")}`;
}

// The axis on which the values of some lines lie: its ticks (at most `most` intervals, none without values) with their
// words, and `share`: where a value lies, from 0 to 1; NaN for what is no number, or not positive on a log axis.
export function valueAxis({ max, log }, lines, most) {
  const good = (value) => Number.isFinite(value) && (!log || value > 0);
  const reach = (value, error) => (max == null && good(value) && error ? [value - error, value + error] : []);
  const seen = lines.flatMap(({ values, errors, level }) => [
    ...values, ...values.flatMap((value, i) => reach(value, errors?.[i])), level,
  ]).concat(max).filter(good);
  if (!seen.length) return { ticks: [], words: [], share: () => NaN };
  if (!log) seen.push(0);
  let [low, high] = [Math.min(...seen), Math.max(...seen)];
  if (log) [low, high] = high > 1.2 * low ? [low / 1.05, high * 1.05] : [low / 1.3, high * 1.3];
  else {
    if (high === low) high = low + 1;
    const step = stepOf(high - low, most);
    low = step * Math.floor(low / step + 1e-6);
    if (high !== max) high = step * Math.ceil(high / step - 1e-6);
  }
  const ticks = (log ? logTicks : ticksBetween)(low, high, most);
  const far = log && (low < 1e-3 || high >= 1e4) && ticks.every((tick) => Number.isInteger(Math.log10(tick)));
  const of = log ? Math.log : Number;
  const share = (value) => (good(value) ? (of(value) - of(low)) / (of(high) - of(low)) : NaN);
  return { ticks, words: ticks.map((tick) => (far ? powerWords(tick) : numberWords(tick))), share };
}
