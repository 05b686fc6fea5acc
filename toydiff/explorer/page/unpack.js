// The inverse of pack.py.
const ESCAPE = 255;
const textOf = (id) => document.getElementById(id).textContent;

async function inflated(id) {
  const stream = new Blob([bytesOf(textOf(id))]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// For each weight a run's whole steps [levels, points, 2], and the bits of its outliers.
function unpacked(bytes, weights, base, quanta, points) {
  const size = 2 * points;
  const whole = weights * quanta.length * size;
  const row = Math.ceil(points / 8);
  const escaped = new DataView(bytes.buffer, whole + weights * row);
  let [at, next, before] = [0, 0, base];
  const steps = Array.from({ length: weights }, () => {
    const now = new Int32Array(quanta.length * size);
    for (let i = 0; i < now.length; i++) {
      let rest = bytes[at++];
      if (rest === ESCAPE) rest = escaped.getUint32(4 * next++, true);
      const level = Math.floor(i / size);
      const apart = level ? (now[i - size] - before[i - size]) * (quanta[level - 1] / quanta[level]) : 0;
      now[i] = before[i] + Math.floor(apart + 0.5) + (rest & 1 ? -(rest + 1) / 2 : rest / 2);
    }
    return (before = now);
  });
  return { steps, out: steps.map((_, w) => bytes.subarray(whole + w * row, whole + (w + 1) * row)) };
}
