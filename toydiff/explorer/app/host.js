/** The app page's host: messages over a WebSocket that comes back by itself, packed as `framing.py` says. */

import { mount } from "./explorer.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10_000;

const padded = (size) => Math.ceil(size / 8) * 8;

function pack(message, buffers) {
    if (!buffers.length) return JSON.stringify(message);
    const sizes = buffers.map((buffer) => buffer.byteLength);
    const header = new TextEncoder().encode(JSON.stringify({ message, sizes }));
    let at = padded(4 + header.length);
    const data = new Uint8Array(sizes.reduce((sum, size) => sum + padded(size), at));
    new DataView(data.buffer).setUint32(0, at - 4, true);
    data.fill(32, 4, at).set(header, 4);
    for (const buffer of buffers) {
        data.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), at);
        at += padded(buffer.byteLength);
    }
    return data;
}

function unpack(data) {
    if (typeof data === "string") return [JSON.parse(data), []];
    let at = 4 + new DataView(data).getUint32(0, true);
    const { message, sizes } = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, at - 4)));
    const buffers = sizes.map((size) => {
        const buffer = new DataView(data, at, size);
        at += padded(size);
        return buffer;
    });
    return [message, buffers];
}

function connect() {
    let handler = () => {};
    let socket = null;
    let wait = FIRST_WAIT;
    const open = () => {
        socket = new WebSocket(new URL("socket", location.href.replace(/^http/, "ws")));
        socket.binaryType = "arraybuffer";
        let opened = false;
        socket.onopen = () => {
            opened = true;
            wait = FIRST_WAIT;
            handler({ connected: true }, []);
        };
        socket.onmessage = (event) => handler(...unpack(event.data));
        socket.onclose = () => {
            if (opened) handler(null, []);
            setTimeout(open, wait);
            wait = Math.min(2 * wait, LONGEST_WAIT);
        };
    };
    open();
    return {
        /** What is sent while there is no connection is lost: the handler tells it again when it is back. */
        send(message, buffers = []) {
            if (socket.readyState === WebSocket.OPEN) socket.send(pack(message, buffers));
        },
        on: (act) => { handler = act; },
    };
}

history.replaceState(history.state, "", location.pathname + location.hash); // without the token
const opening = await (await fetch("opening.json")).text();
const hint = "Wait, or start toydiff explore again.";
const { store } = mount(document.querySelector("#toydiff"), { ...connect(), opening, hint });

// The address holds the scene, as far as one can be that long: it can be kept, passed on and loaded anew.
const LONGEST = 8000;
const KEEP_MS = 500;
let keeping = null;
let given = location.hash.slice(1);

function readAddress() {
    try {
        store.wish(JSON.parse(decodeURIComponent(given)));
    } catch {} // an address that was cut short
    given = "";
}

function writeAddress() {
    const text = encodeURIComponent(JSON.stringify(store.scene));
    history.replaceState(history.state, "", text.length > LONGEST ? location.pathname : `#${text}`);
}

store.on("scene", () => {
    if (given && store.serial) readAddress();
    clearTimeout(keeping);
    if (!given) keeping = setTimeout(writeAddress, KEEP_MS);
});
