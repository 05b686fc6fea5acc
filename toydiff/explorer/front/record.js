// What stands on the screen, as messages that were kept: shown before a kernel answers, and where there is none.
const PARTS = ["about", "scene", "frame"];

export const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

// Messages from the text that `opening.py` or a Record made.
export const kept = (text) => JSON.parse(text).map(([message, buffers]) => [message, buffers.map(bytesOf)]);

export class Record {
  constructor() {
    this.last = new Map();
  }

  // Keep the newest of each part; of points the places at the end, not their ways.
  keep(message, buffers) {
    const part = PARTS.find((name) => name in message);
    if (!part) return;
    const { frame } = message;
    if (frame?.frame === "points" && !frame.full) return;
    const { levels, ...plain } = frame ?? {};
    const { serial, heard, ...rest } = message;
    const before = this.last.get(part)?.[0];
    if (part === "scene" && !message.menus && before) Object.assign(rest, { menus: before.menus, scenes: before.scenes, named: "" });
    const name = frame ? `${frame.panel} ${frame.layer ?? frame.frame}` : part;
    this.last.set(name, frame ? [{ frame: plain }, buffers.slice(0, levels ? 2 : undefined)] : [rest, []]);
  }

  // As text, with the scene as it stands: the kernel does not send what the only view has set.
  text(scene) {
    const base64 = ({ buffer, byteOffset, byteLength }) => {
      const bytes = new Uint8Array(buffer, byteOffset, byteLength);
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    };
    const all = [...this.last.values()].map(([message, buffers]) => [message.scene ? { ...message, scene } : message, buffers]);
    const ordered = PARTS.flatMap((part) => all.filter(([message]) => part in message));
    return JSON.stringify(ordered.map(([message, buffers]) => [message, buffers.map(base64)]));
  }
}
