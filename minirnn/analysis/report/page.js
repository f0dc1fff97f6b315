"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  for (const layer of data.layers) for (const array of layer.arrays) array.values = bytes(array.values);
  const probabilities = bytes(data.probabilities);
  const state = { layer: 0, array: 0, unit: 0, place: -1 };
  const layer = () => data.layers[state.layer];
  const array = () => layer().arrays[state.array];
  const value = (a, token, unit) => a.low + (a.values[token * a.units + unit] / 255) * (a.high - a.low);

  // Blue below, white at zero, orange above, which colour-blind readers tell apart; gates go from white to blue.
  const mix = (a, b, share) => a.map((x, k) => Math.round(x + (b[k] - x) * share));
  const WHITE = [255, 255, 255], BLUE = [86, 160, 220], ORANGE = [240, 150, 60];
  const colour = (a, byte) => {
    if (a.low >= 0) return mix(WHITE, BLUE, byte / 255);
    const x = byte / 127.5 - 1;
    return x < 0 ? mix(WHITE, BLUE, -x) : mix(WHITE, ORANGE, x);
  };
  const table = (a) => Array.from({ length: 256 }, (_, byte) => colour(a, byte));
  const css = (rgb) => `rgb(${rgb.join(",")})`;

  // ---------------------------------------------------------------- the text
  const text = $("text");
  const spans = data.spans.map(([shown], k) => {
    const span = document.createElement("span");
    span.textContent = shown.replace(/\r\n|\n|\r/g, "⏎\n");
    span.dataset.k = k;
    text.append(span);
    return span;
  });

  const paint = () => {
    const a = array(), colours = table(a).map(css);
    data.spans.forEach(([, , last], k) => {
      spans[k].style.backgroundColor = colours[a.values[last * a.units + state.unit]];
    });
    $("low").textContent = a.low.toFixed(2);
    $("high").textContent = a.high.toFixed(2);
    const stops = [0, 64, 128, 191, 255].map((byte) => css(colour(a, byte)));
    $("ramp").style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const memory = layer().memory;
    const remembers = memory ? `; remembers for about ${Math.round(memory[state.unit] * 10) / 10} steps` : "";
    $("about").textContent = `unit ${state.unit} of ${a.units}${remembers}`;
    $("unit").value = state.unit;
    $("unit").max = a.units - 1;
    for (const [k, map] of maps.entries()) drawLine(map, k);
    for (const use of document.querySelectorAll(".chart use.chosen")) use.classList.remove("chosen");
    for (const uses of marks[state.layer] || []) if (uses[state.unit]) uses[state.unit].classList.add("chosen");
    tell();
  };

  const choose = (unit) => {
    const count = array().units;
    state.unit = ((Math.round(unit) % count) + count) % count || 0;
    paint();
  };

  // ---------------------------------------------------------------- one place in it
  const tell = () => {
    const box = $("place");
    box.hidden = state.place < 0;
    spans.forEach((span, k) => span.classList.toggle("here", k === state.place));
    if (box.hidden) return;
    const [shown, , token] = data.spans[state.place];
    const came = data.read[token + 1];
    const line = document.createElement("p"), list = document.createElement("ol");
    const what = document.createElement("b");
    what.textContent = `“${shown.replace(/\n/g, "⏎").replace(/ /g, "␣")}”`;
    line.append(what, ` at token ${token}: ${array().name} of unit ${state.unit} is `);
    const number = document.createElement("b");
    number.id = "value";
    number.textContent = value(array(), token, state.unit).toFixed(3);
    line.append(number, ". Expected next:");
    for (let k = 0; k < data.each; k++) {
      const id = data.likeliest[token * data.each + k], p = probabilities[token * data.each + k] / 255;
      const item = document.createElement("li"), name = document.createElement("span"), bar = document.createElement("i");
      name.textContent = data.tokens[id];
      bar.className = "bar";
      bar.style.width = `${Math.max(1, p * 60)}px`;
      item.classList.toggle("came", id === came);
      item.append(name, ` ${(100 * p).toFixed(0)}%`, bar);
      list.append(item);
    }
    if (came !== undefined) {
      const item = document.createElement("li");
      item.textContent = `came: ${data.tokens[came]}, ${(100 * data.actual[token]).toFixed(1)}%`;
      list.append(item);
    }
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", "close");
    close.addEventListener("click", () => at(-1, false));
    box.replaceChildren(line, list, close);
  };

  const at = (place, scroll) => {
    state.place = Math.max(-1, Math.min(spans.length - 1, place));
    if (scroll && state.place >= 0) spans[state.place].scrollIntoView({ block: "nearest" });
    tell();
  };
  for (const kind of ["pointerover", "click"]) {
    text.addEventListener(kind, (event) => {
      if (event.target.dataset.k !== undefined) at(Number(event.target.dataset.k), false);
    });
  }

  // ---------------------------------------------------------------- gates over time
  let maps = [];
  const drawMaps = () => {
    const chosen = layer().arrays;
    maps = chosen.map((a) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      const box = document.createElement("div"), canvas = document.createElement("canvas");
      const steps = a.values.length / a.units, high = Math.max(1, Math.round(96 / a.units));
      caption.textContent = a.name;
      canvas.width = steps;
      canvas.height = a.units;
      canvas.style.height = `${a.units * high}px`;
      canvas.style.width = `${steps}px`;
      box.append(canvas);
      figure.append(caption, box);
      const colours = table(a), image = new ImageData(steps, a.units);
      for (let t = 0; t < steps; t++) {
        for (let u = 0; u < a.units; u++) {
          const rgb = colours[a.values[t * a.units + u]];
          image.data.set([...rgb, 255], 4 * (u * steps + t));
        }
      }
      const where = (event) => {
        const frame = canvas.getBoundingClientRect();
        return [
          Math.floor(((event.clientX - frame.left) / frame.width) * steps),
          Math.floor(((event.clientY - frame.top) / frame.height) * a.units),
        ];
      };
      canvas.addEventListener("click", (event) => {
        const [token, unit] = where(event);
        state.place = data.spans.findIndex(([, first, last]) => token >= first && token <= last);
        choose(unit);
      });
      return { canvas, image, figure };
    });
    $("maps").replaceChildren(...maps.map((map) => map.figure));
  };
  const drawLine = (map) => {
    const context = map.canvas.getContext("2d");
    context.putImageData(map.image, 0, 0);
    context.fillStyle = "#0008";
    context.fillRect(0, state.unit, map.canvas.width, 1);
  };

  // ---------------------------------------------------------------- which unit tracks what
  const correlation = (a, unit, wanted, from, to) => {
    let n = to - from, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (let t = from; t < to; t++) {
      const v = a.values[t * a.units + unit], w = wanted[t];
      x += v; y += w; xx += v * v; yy += w * w; xy += v * w;
    }
    const size = (xx - (x * x) / n) * (yy - (y * y) / n);
    return size > 1e-9 ? (xy - (x * y) / n) / Math.sqrt(size) : 0;
  };

  const occurrences = (part) => {
    const whole = data.spans.map(([shown]) => shown).join(""), wanted = new Float64Array(data.read.length);
    const matched = new Uint8Array(spans.length);
    const starts = [];
    data.spans.reduce((start, [shown]) => (starts.push(start), start + shown.length), 0);
    for (let from = whole.indexOf(part); from >= 0; from = whole.indexOf(part, from + 1)) {
      data.spans.forEach(([shown, first, last], k) => {
        if (starts[k] < from + part.length && starts[k] + shown.length > from) {
          matched[k] = 1;
          wanted.fill(1, first, last + 1);
        }
      });
    }
    return [wanted, matched];
  };

  const button = (unit, said) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = said;
    made.addEventListener("click", () => choose(unit));
    return made;
  };

  const search = () => {
    const asked = $("search").value, box = $("found");
    spans.forEach((span) => span.classList.remove("match"));
    box.replaceChildren();
    if (!asked) return;
    const known = layer().tracking.find((one) => one.what === asked.trim().toLowerCase());
    if (known) {
      box.append(...known.units.map((unit, k) => button(unit, `${unit} (${known.held_out[k].toFixed(2)})`)));
      choose(known.units[0]);
      return;
    }
    const [wanted, matched] = occurrences(asked), a = array(), half = wanted.length >> 1;
    if (!matched.some(Boolean)) {
      box.textContent = `“${asked}” is not in the text`;
      return;
    }
    spans.forEach((span, k) => span.classList.toggle("match", matched[k] === 1));
    const units = Array.from({ length: a.units }, (_, unit) => [unit, correlation(a, unit, wanted, 0, half)]);
    units.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
    box.append(
      ...units.slice(0, 5).map(([unit]) => {
        return button(unit, `${unit} (${correlation(a, unit, wanted, half, wanted.length).toFixed(2)})`);
      }),
    );
    choose(units[0][0]);
  };

  const listTracking = () => {
    const rows = layer().tracking.map((one) => {
      const row = document.createElement("tr"), what = document.createElement("td"), units = document.createElement("td");
      what.textContent = one.what;
      units.append(
        ...one.units.map((unit, k) => button(unit, `${unit}: ${one.held_out[k].toFixed(2)}, ${one.bits[k].toFixed(2)} bits`)),
      );
      row.append(what, units);
      return row;
    });
    $("tracking").tBodies[0].replaceChildren(...rows);
    $("properties").replaceChildren(...layer().tracking.map((one) => new Option(one.what)));
  };

  // ---------------------------------------------------------------- charts: a mark is a unit
  const marks = data.layers.map((one) => {
    const charts = [...document.querySelectorAll(".chart")].filter((chart) => chart.dataset.layer === one.path);
    return charts.flatMap((chart) => [...chart.querySelectorAll('[id*="-saturation-"]')]).map((group) => {
      const uses = [...group.querySelectorAll("use")];
      uses.forEach((use, unit) => {
        const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
        title.textContent = `${group.id.split("-").pop()} gate of unit ${unit}`;
        use.append(title);
        use.style.cursor = "pointer";
        use.addEventListener("click", () => choose(unit));
      });
      return uses;
    });
  });

  // ---------------------------------------------------------------- controls
  const show = (k) => {
    state.layer = k;
    state.array = 0;
    $("array").replaceChildren(...layer().arrays.map((a, j) => new Option(a.name, j)));
    for (const chart of document.querySelectorAll(".chart[data-layer]")) {
      chart.hidden = chart.dataset.layer !== layer().path;
    }
    drawMaps();
    listTracking();
    choose(state.unit);
  };
  $("layer").replaceChildren(...data.layers.map((one, k) => new Option(one.name, k)));
  $("layer").addEventListener("change", (event) => show(Number(event.target.value)));
  $("array").addEventListener("change", (event) => {
    state.array = Number(event.target.value);
    choose(state.unit);
  });
  $("unit").addEventListener("change", (event) => choose(Number(event.target.value)));
  $("previous").addEventListener("click", () => choose(state.unit - 1));
  $("next").addEventListener("click", () => choose(state.unit + 1));
  $("search").addEventListener("change", search);
  $("search").addEventListener("input", () => { if (!$("search").value) search(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { at(-1, false); document.activeElement.blur(); return; }
    if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && event.shiftKey) at(Math.max(0, state.place + step), true);
    else if (step) choose(state.unit + step);
    else if (event.key === "/") $("search").focus();
    else return;
    event.preventDefault();
  });
  show(0);
})();
