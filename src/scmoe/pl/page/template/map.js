"use strict";
(async function () {
  const MISSING = 255, GRAY = "#d5d5d5", REACH = 9, MARGIN = 18;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("cells").textContent);
  const canvas = byId("canvas"), select = byId("column"), search = byId("search"), tip = byId("tip");
  const context = canvas.getContext("2d");

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }
  if (typeof DecompressionStream === "undefined") {
    byId("message").textContent = "This browser is too old for the map; all else on this page works.";
    return;
  }
  const x = new Uint16Array(await unpack(data.x)), y = new Uint16Array(await unpack(data.y));
  const names = new TextDecoder().decode(await unpack(data.names)).split("\n");

  // What the cells can be colored by: columns, then features.
  const choices = data.columns.map((entry) => ({ ...entry, text: entry.name }));
  const seen = new Map();
  for (const entry of data.features) seen.set(entry.name, (seen.get(entry.name) || 0) + 1);
  for (const entry of data.features) {
    const isAmbiguous = seen.get(entry.name) > 1 || data.columns.some((column) => column.name === entry.name);
    choices.push({ ...entry, text: isAmbiguous ? `${entry.name} (${entry.modality})` : entry.name });
  }
  const groups = new Map();
  choices.forEach((choice, number) => {
    const title = choice.modality || "columns";
    if (!groups.has(title)) {
      const group = document.createElement("optgroup");
      group.label = title;
      select.append(group);
      groups.set(title, group);
    }
    groups.get(title).append(new Option(choice.text, number));
    byId("names").append(new Option(choice.text));
  });

  const view = { scale: 1, left: 0, top: 0 };
  let current = null, values = null, order = null, alone = null;

  const shade = (value) => data.shades[Math.min(data.shades.length - 1, Math.floor((value / MISSING) * data.shades.length))];
  const round = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const isCategory = () => current.codes !== undefined;

  async function show(number) {
    const choice = choices[number];
    const read = new Uint8Array(await unpack(choice.codes || choice.values));
    current = choice;
    values = read;
    alone = null;
    order = Uint32Array.from({ length: data.n }, (_, i) => i);
    // High values lie on top, missing ones below; categories are in random order as the cells are.
    if (!isCategory()) order.sort((a, b) => (values[a] + 1) % 256 - (values[b] + 1) % 256);
    else order.sort((a, b) => (values[b] === MISSING) - (values[a] === MISSING));
    select.value = number;
    byId("message").textContent = "";
    canvas.setAttribute("aria-label", `Map of the cells, colored by ${choice.text}`);
    legend();
    draw();
  }

  function legend() {
    const box = byId("legend");
    box.replaceChildren();
    if (!isCategory()) {
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.style.background = `linear-gradient(to right, ${data.shades.join(",")})`;
      box.append(round(current.low), bar, `${round(current.high)}${current.modality ? " and more" : ""}`);
    } else {
      const sizes = new Array(256).fill(0);
      for (const value of values) sizes[value] += 1;
      current.names.forEach((name, code) => {
        const button = document.createElement("button"), dot = document.createElement("i");
        button.type = "button";
        dot.style.background = current.colors[code];
        button.append(dot, `${name} (${sizes[code]})`);
        button.setAttribute("aria-pressed", String(alone === code));
        button.addEventListener("click", () => {
          alone = alone === code ? null : code;
          legend();
          draw();
        });
        if (sizes[code]) box.append(button);
      });
    }
    if (values.includes(MISSING)) {
      const dot = document.createElement("i");
      dot.style.background = GRAY;
      dot.style.alignSelf = "center";
      box.append(dot, "none");
    }
  }

  function place(i) {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    const unit = ((Math.min(width, height) - 2 * MARGIN) / 65535) * view.scale;
    const middle = (65535 * unit) / 2;
    return [width / 2 + view.left + x[i] * unit - middle, height / 2 + view.top - y[i] * unit + middle];
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const radius = Math.min(6, Math.max(1.1, (90 / Math.sqrt(data.n)) * Math.sqrt(view.scale)));
    for (const i of order) {
      const value = values[i];
      const isGray = value === MISSING || (alone !== null && value !== alone);
      context.fillStyle = isGray ? GRAY : isCategory() ? current.colors[value] : shade(value);
      const [left, top] = place(i);
      context.beginPath();
      context.arc(left, top, radius, 0, 7);
      context.fill();
    }
  }

  function point(event) {
    const box = canvas.getBoundingClientRect(), left = event.clientX - box.left, top = event.clientY - box.top;
    let best = -1, nearest = REACH * REACH;
    for (let i = 0; i < data.n; i++) {
      const [a, b] = place(i), distance = (a - left) ** 2 + (b - top) ** 2;
      if (distance < nearest) [best, nearest] = [i, distance];
    }
    tip.hidden = best < 0;
    if (best < 0) return;
    const value = values[best];
    let text = "none";
    if (value !== MISSING) {
      text = isCategory() ? current.names[value] : round(current.low + (value / (MISSING - 1)) * (current.high - current.low));
    }
    tip.textContent = `${names[best]}: ${current.text} ${text}`;
    tip.style.left = `${Math.max(0, Math.min(left + 12, box.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(0, Math.min(top + 12, box.height - tip.offsetHeight - 4))}px`;
  }

  function zoom(factor) {
    const scale = Math.min(40, Math.max(1, view.scale * factor));
    view.left *= scale / view.scale;
    view.top *= scale / view.scale;
    view.scale = scale;
    draw();
  }

  function find() {
    const asked = search.value.trim().toLowerCase();
    if (!asked) return;
    const number = choices.findIndex((choice) => choice.text.toLowerCase() === asked || choice.name.toLowerCase() === asked);
    if (number >= 0) show(number);
    else byId("message").textContent = `“${search.value.trim()}” is not on this page. Make the report again and ask for it: --color.`;
  }

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") drag = { x: event.clientX - view.left, y: event.clientY - view.top };
    else point(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return event.pointerType === "mouse" && point(event);
    view.left = event.clientX - drag.x;
    view.top = event.clientY - drag.y;
    tip.hidden = true;
    draw();
  });
  window.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // else the page could not be scrolled past the map
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
  }, { passive: false });
  byId("closer").addEventListener("click", () => zoom(1.5));
  byId("farther").addEventListener("click", () => zoom(1 / 1.5));
  byId("whole").addEventListener("click", () => {
    Object.assign(view, { scale: 1, left: 0, top: 0 });
    draw();
  });
  select.addEventListener("change", () => show(Number(select.value)));
  search.addEventListener("change", find);
  window.addEventListener("resize", () => current && draw());
  window.addEventListener("beforeprint", () => current && draw());
  if (choices.length) await show(0);
})();
