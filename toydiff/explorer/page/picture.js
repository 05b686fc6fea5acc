// One picture: the true distribution, and the points of a run on their way from noise to data.
const TRACED = 150; // trajectories

const outlines = page.outlines.map(({ light, strong, lines }) => {
  const path = new Path2D();
  for (const line of lines) {
    for (let i = 0; i < line.length; i += 2) path[i ? "lineTo" : "moveTo"](line[i] / 1000, line[i + 1] / 1000);
    path.closePath();
  }
  return { light, strong, path };
});

// Where the camera stands. What it holds grows with the noise, so that the points stay in the picture.
const WHOLE = { closer: 1, x: page.view.x, y: page.view.y };
const camera = { ...WHOLE };
const halfWidth = (step) => (page.view.half_width * Math.hypot(runs.sigma(step) / SIGMA_DATA, 1)) / camera.closer;

// From points to pixels and back, in a square of `side` pixels.
function lens(side, step) {
  const zoom = side / (2 * halfWidth(step));
  const [left, top] = [side / 2 - camera.x * zoom, side / 2 + camera.y * zoom];
  const x = (points, n) => left + points[n] * zoom;
  const y = (points, n) => top - points[n + page.points] * zoom;
  return { zoom, left, top, x, y };
}

// Draw a panel; `plain` are the points without guidance, where lines shall come from them.
function draw({ canvas, shown, outlier, ways }, step, layers, ringed, plain) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const side = Math.round(canvas.clientWidth * ratio);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const g = canvas.getContext("2d");
  const { zoom, left, top, x, y } = lens(side, step);
  const size = Math.max(1.3 * ratio, side / 330);
  g.drawImage(background(side, zoom, left, top, layers.outlines ? 0.9 * ratio : 0), 0, 0);
  const stroke = (colour, width, follow) => {
    g.strokeStyle = colour;
    g.lineWidth = width * ratio;
    g.beginPath();
    follow();
    g.stroke();
  };
  const trace = (some) => {
    const all = ways();
    for (const n of some) all.forEach((points, i) => g[i ? "lineTo" : "moveTo"](x(points, n), y(points, n)));
  };
  const { colours, points } = page;
  const traced = Array(Math.min(TRACED, points)).keys();
  if (layers.trajectories) stroke(`${colours.trajectories}80`, 0.7, () => trace(traced));
  if (plain) {
    stroke(`${colours.rescue}b0`, 0.8, () => {
      for (let n = 0; n < points; n++) {
        g.moveTo(x(plain, n), y(plain, n));
        g.lineTo(x(shown, n), y(shown, n));
      }
    });
  }
  const isOut = (n) => layers.outliers && outlier(n);
  const dots = (colour, r, chosen) => {
    g.fillStyle = colour;
    g.beginPath();
    for (let n = 0; n < points; n++) {
      const [px, py] = [x(shown, n), y(shown, n)];
      if (!chosen(n) || px < -r || py < -r || px > side + r || py > side + r) continue;
      g.moveTo(px + r, py);
      g.arc(px, py, r, 0, 2 * Math.PI);
    }
    g.fill();
  };
  dots(colours.samples, size, (n) => !isOut(n));
  dots(colours.outliers, 1.5 * size, isOut);
  if (ringed === null) return;
  stroke("#222", 1.4, () => trace([ringed]));
  stroke("#222", 2, () => g.arc(x(shown, ringed), y(shown, ringed), 4 * size, 0, 2 * Math.PI));
}

// White, or with the outlines in lines of a width; drawn again only when the camera moves.
const behind = document.createElement("canvas");
function background(side, zoom, left, top, width) {
  const wanted = [side, zoom, left, top, width].join();
  if (behind.dataset.holds === wanted) return behind;
  behind.dataset.holds = wanted;
  behind.width = behind.height = side;
  const g = behind.getContext("2d");
  g.fillStyle = "#fff";
  g.fillRect(0, 0, side, side);
  g.setTransform(zoom, 0, 0, -zoom, left, top);
  g.lineWidth = width / zoom;
  for (const { light, strong, path } of width ? outlines : []) {
    g.fillStyle = light;
    g.strokeStyle = strong;
    g.fill(path, "evenodd");
    g.stroke(path);
  }
  return behind;
}
