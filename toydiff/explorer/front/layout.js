// How large everything is: pictures first. In pixels of the page, for a width and a height that the host leaves.
import { clamp } from "./dom.js";

const GAP = 8;
const MARGINS = 1.07; // the most that a notebook takes beside us without our text becoming smaller
const NARROW = 700; // a page that is narrower has one picture, and the rest below it

export function measured({ width, height, panels, lecture, card, titled, asked }) {
  const room = Math.min(innerWidth, MARGINS * width); // a notebook may leave us a column of a wide window
  const wide = clamp((room - 1280) / 640, 0, 2.5);
  const font = 14 + 6 * wide;
  const low = clamp((height - 600) / 120, 0, 1); // a window that is not high leaves less for bars
  const row = (small, normal, growth) => Math.round(small + (normal - small) * low + growth * wide);
  // Where the host takes of the window's height, what stands below the pictures moves up beside what stands above.
  const compact = height < innerHeight - 40;
  const rows = { bar: lecture ? 0 : row(36, 40, 12), strip: compact && !lecture ? 0 : row(38, 48, 12), head: panels > 2 ? row(64, 70, 24) : row(34, 44, 12) };
  const line = (em) => Math.ceil(em * 1.35 * font);
  const title = !titled ? 0 : lecture ? row(30, 33, 15) : line(1.2);
  const question = !asked ? 0 : !lecture ? line(1) : compact && titled ? 0 : row(22, 25, 10);
  if (width < NARROW) return { ...rows, font, compact: false, mode: "narrow", side: width, left: width, right: width, title, question };
  const single = panels === 1;
  const free = height - rows.bar - rows.strip - title - question - (single ? 0 : rows.head);
  const left = single ? Math.round(Math.min(250, width * 0.215) + 130 * wide) : 0;
  const right = single ? Math.round(310 + 110 * wide) : card ? Math.round(130 + 38 * wide) : 0;
  const taken = single ? left + right + 2 * GAP : right ? right + GAP : 0;
  const side = Math.floor(Math.max(160, Math.min(free, (width - taken - (panels - 1) * GAP) / panels)));
  return { ...rows, font, compact, mode: single ? "single" : lecture ? "lecture" : "compare", side, left, right, title, question };
}

// The height that the page leaves: of the outermost element that scrolls, or of the window.
export function heightFor(element) {
  // A frame that is as high as what it holds, as some notebooks have, says nothing of the window.
  let height = self !== top && innerHeight < 480 ? Math.min(720, 0.7 * screen.availHeight) : innerHeight;
  for (let parent = element.parentElement; parent && parent !== document.body; parent = parent.parentElement) {
    const { overflowY } = getComputedStyle(parent);
    const scrolls = overflowY === "auto" || overflowY === "scroll";
    if (scrolls && parent.clientHeight > 300 && parent.clientHeight < innerHeight) height = parent.clientHeight - 8;
  }
  return height;
}
