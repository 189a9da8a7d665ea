// The page's one script: it shows the pictures behind a number. All that it writes is text or an attribute, never
// markup, since class names and paths are a stranger's. Without it the page says the same in tables and a gallery.
"use strict";
(() => {
  document.documentElement.classList.add("scripted"); // what only a script can do is shown from here on
  const byId = (id) => document.getElementById(id);
  const given = JSON.parse(byId("given").textContent);
  const maps = JSON.parse(byId("maps").textContent);
  const { classes, rows } = given;
  const [INDEX, NAME, TRUE, PREDICTED, CHANCE, TOP, CHANCES, PLACE] = [0, 1, 2, 3, 4, 5, 6, 7];
  const AT_ONCE = 60; // pictures; more of them are put in when they are asked for

  const isWrong = (row) => row[TRUE] !== row[PREDICTED];
  const confidence = (row) => row[CHANCES][0];
  const loss = (row) => -Math.log(Math.max(row[CHANCE], 1.1754944e-38));
  const percent = (share) => (share >= 0.1 ? `${Math.round(100 * share)}%` : `${(100 * share).toFixed(1)}%`);
  const counted = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
  const nameOf = (row) => row[NAME] || `test image ${row[INDEX]}`;

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // Thumbnails are parts of a few large pictures, each of which is decoded when one of them is first shown.
  const sheetsOf = (selector) => {
    const sheets = document.querySelectorAll(selector);
    const decoded = [];
    return (number) => (decoded[number] ??= (async () => {
      const image = new Image();
      image.src = `data:image/webp;base64,${sheets[number].textContent}`;
      await image.decode();
      return image;
    })());
  };
  const [testSheet, nearSheet] = ["script.sheet", "script.near"].map(sheetsOf);

  const paint = async (canvas, place, sheet = testSheet) => {
    const [height, width] = given.size;
    [canvas.width, canvas.height] = [width, height];
    canvas.classList.toggle("none", place < 0);
    canvas.dataset.place = place;
    if (place < 0) return;
    const image = await sheet(Math.floor(place / given.perSheet));
    if (canvas.dataset.place !== String(place)) return; // another picture is wanted by now
    const at = place % given.perSheet;
    const [x, y] = [(at % given.columns) * given.cell[1], Math.floor(at / given.columns) * given.cell[0]];
    canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
  };

  // The pictures, as they are filtered and sorted.
  const by = { kind: byId("kind"), true: byId("true"), predicted: byId("predicted"), sort: byId("sort") };
  const everyConfidence = [0, 1.01];
  let [low, high] = everyConfidence;
  let shown = [];
  const orders = {
    loss: (a, b) => loss(b) - loss(a),
    sure: (a, b) => confidence(b) - confidence(a),
    unsure: (a, b) => confidence(a) - confidence(b),
    true: (a, b) => a[TRUE] - b[TRUE] || loss(b) - loss(a),
    predicted: (a, b) => a[PREDICTED] - b[PREDICTED] || loss(b) - loss(a),
  };
  const matches = (row) =>
    (by.kind.value === "all" || isWrong(row) === (by.kind.value === "wrong")) &&
    (by.true.value === "" || row[TRUE] === Number(by.true.value)) &&
    (by.predicted.value === "" || row[PREDICTED] === Number(by.predicted.value)) &&
    confidence(row) >= low && confidence(row) < high;

  const more = byId("more");
  const grid = byId("grid");
  const picture = (row, at) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    paint(canvas, row[PLACE]);
    const label = isWrong(row) ? `${classes[row[TRUE]]}, taken for ${classes[row[PREDICTED]]}` : classes[row[TRUE]];
    const said = make("span", isWrong(row) ? { class: "wrong" } : {}, `${isWrong(row) ? "✗" : "✓"} ${classes[row[PREDICTED]]}`);
    const button = make("button", { type: "button", title: nameOf(row), "aria-label": `${label}, ${nameOf(row)}` }, canvas,
      make("span", {}, said, ` ${percent(confidence(row))}`));
    if (isWrong(row)) button.append(make("span", {}, `✓ ${classes[row[TRUE]]} ${percent(row[CHANCE])}`));
    button.addEventListener("click", () => enlarge(at));
    return make("li", {}, button);
  };
  const append = () => {
    const start = grid.children.length;
    grid.append(...shown.slice(start, start + AT_ONCE).map((row, i) => picture(row, start + i)));
    more.hidden = grid.children.length === shown.length;
    more.textContent = `Show more (${counted(shown.length - grid.children.length, "picture")} left)`;
  };
  const update = () => {
    shown = rows.filter(matches).sort(orders[by.sort.value]);
    const thing = { wrong: "mistake", right: "example", all: "picture" }[by.kind.value];
    const sure = high <= 1 || low > 0 ? `, predicted with ${percent(low)} to ${percent(Math.min(high, 1))}` : "";
    byId("count").textContent = counted(shown.length, thing) + (by.kind.value === "right" ? " of what was recognised" : "") + sure;
    grid.replaceChildren();
    append();
  };
  const show = (kind, ofTrue, ofPredicted, between = everyConfidence) => {
    [by.kind.value, by.true.value, by.predicted.value, [low, high]] = [kind, ofTrue, ofPredicted, between];
    update();
    byId("pictures").scrollIntoView();
    byId("count").focus({ preventScroll: true });
  };
  for (const select of [by.true, by.predicted]) {
    select.append(make("option", { value: "" }, "all"), ...classes.map((name, i) => make("option", { value: i }, name)));
  }
  for (const select of Object.values(by)) select.addEventListener("change", update);
  byId("reset").addEventListener("click", () => { by.sort.value = "loss"; show("wrong", "", ""); });
  more.addEventListener("click", () => {
    const next = grid.children.length;
    append();
    grid.children[next].firstChild.focus();
  });

  // One picture, larger, in a dialog; the arrows go on to the next one.
  const dialog = byId("larger");
  let current = 0;
  const enlarge = (at) => {
    current = at;
    const row = shown[at];
    const whole = document.querySelector(`.gallery img[data-index="${row[INDEX]}"]`); // of the worst there is a larger one
    const canvas = make("canvas", { role: "img", "aria-label": classes[row[TRUE]] });
    if (!whole) paint(canvas, row[PLACE]);
    byId("picture").replaceChildren(whole ? make("img", { src: whole.src, alt: whole.alt }) : canvas);
    if (!whole && row[PLACE] < 0) byId("picture").append(make("p", {}, "The page has no room for this picture."));
    byId("verdict").textContent = isWrong(row) ? `${classes[row[TRUE]]}, taken for ${classes[row[PREDICTED]]}` : `${classes[row[TRUE]]}, recognised`;
    byId("facts").textContent = `Predicted: ${percent(confidence(row))}. True class: ${percent(row[CHANCE])}. Loss: ${loss(row).toFixed(2)}.`;
    byId("top").replaceChildren(...row[TOP].map((name, i) => make("li", name === row[TRUE] ? { class: "true" } : {},
      make("span", {}, classes[name]), make("span", { class: "share", style: `--share: ${100 * row[CHANCES][i]}%` }), make("span", {}, percent(row[CHANCES][i])))));
    const map = maps[row[INDEX]];
    byId("map").replaceChildren(...(map ? [make("img", { src: map, alt: "Grad-CAM of this picture" })] : []));
    byId("near").replaceChildren(...(given.near[row[INDEX]] ?? []).map(([place, shows, name]) => {
      const canvas = make("canvas", { role: "img", "aria-label": classes[shows], title: name });
      paint(canvas, place, nearSheet);
      return make("figure", {}, canvas, make("figcaption", {}, classes[shows]));
    }));
    if (byId("near").children.length) byId("near").prepend(make("p", {}, "What it learnt from that is most like it, to the network:"));
    byId("path").value = nameOf(row);
    byId("copied").textContent = "";
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => { if (shown[current + by]) enlarge(current + by); };
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // on the backdrop
  dialog.addEventListener("keydown", (event) => {
    if (event.target !== byId("path")) step({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0);
  });
  dialog.addEventListener("close", () => grid.children[current]?.firstChild.focus());
  byId("copy").addEventListener("click", async () => {
    byId("path").select(); // where a browser lets no page copy, the reader can
    try {
      await navigator.clipboard.writeText(byId("path").value);
      byId("copied").textContent = "Copied.";
    } catch {
      byId("copied").textContent = document.execCommand("copy") ? "Copied." : "Selected: press Ctrl+C.";
    }
  });

  // What leads to pictures: cells of the matrix, classes, and bars.
  const leads = (element, label, action) => {
    element.addEventListener("click", action);
    element.setAttribute("aria-label", label);
  };
  const showCell = (t, p) => show(t === p ? "right" : "wrong", t, p);
  const cells = [...document.querySelectorAll("td[data-true]")];
  for (const cell of cells) {
    const [t, p] = [Number(cell.dataset.true), Number(cell.dataset.predicted)];
    const button = make("button", { type: "button", tabindex: "-1" }, ...cell.childNodes);
    leads(button, `${classes[t]} ${t === p ? "recognised" : `taken for ${classes[p]}`}: ${button.textContent.trim() || 0}`, () => showCell(t, p));
    button.title = button.ariaLabel;
    cell.append(button);
  }
  if (cells.length) {
    // A hundred cells are one stop of the Tab key; the arrows go from cell to cell.
    cells[0].firstChild.tabIndex = 0;
    byId("matrix").addEventListener("keydown", (event) => {
      const at = cells.indexOf(event.target.closest("td"));
      const [n, column] = [classes.length, at % classes.length];
      const to = { ArrowLeft: column ? at - 1 : -1, ArrowRight: column < n - 1 ? at + 1 : -1, ArrowUp: at - n, ArrowDown: at + n }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      if (!cells[to]) return;
      cells[at].firstChild.tabIndex = -1;
      cells[to].firstChild.tabIndex = 0;
      cells[to].firstChild.focus();
    });
  }
  for (const head of document.querySelectorAll("th[data-class]")) {
    const button = make("button", { type: "button", class: "link" }, ...head.childNodes);
    leads(button, `Pictures of ${classes[head.dataset.class]}`, () => show("all", head.dataset.class, ""));
    head.append(button);
  }
  for (const row of document.querySelectorAll("tr[data-true]")) {
    const button = make("button", { type: "button", class: "link" }, ...row.cells[2].childNodes);
    const [t, p] = [Number(row.dataset.true), Number(row.dataset.predicted)];
    leads(button, `${classes[t]} taken for ${classes[p]}: ${button.textContent}`, () => showCell(t, p));
    row.cells[2].append(button);
  }
  for (const bar of document.querySelectorAll("[data-low]")) {
    const [from, to] = [Number(bar.dataset.low), Number(bar.dataset.high)];
    const pick = () => show("wrong", "", "", [from, to >= 0.9999 ? everyConfidence[1] : to]);
    leads(bar, `Mistakes predicted with ${percent(from)} to ${percent(to)}`, pick);
    bar.setAttribute("role", "button");
    bar.setAttribute("tabindex", "0");
    bar.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } });
  }

  // Of many classes a table would be megabytes: their matrix is a picture of one pixel a cell, drawn large.
  const wide = byId("wide");
  if (wide) {
    const n = classes.length;
    const place = [];
    given.order.forEach((name, at) => { place[name] = at; });
    const counts = new Map(given.confusions.map(([t, p, count]) => [place[t] * n + place[p], count]));
    const totals = new Array(n).fill(0);
    for (const [t, , count] of given.confusions) totals[t] += count;
    const colours = matchMedia("(prefers-color-scheme: dark)");
    const draw = () => {
      const channels = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1).match(/../g).map((h) => parseInt(h, 16));
      const [panel, right, wrong] = ["--panel-rgb", "--accent", "--wrong"].map(channels);
      [wide.width, wide.height] = [n, n];
      const pixels = new ImageData(n, n);
      const set = (at, ink, weight) => pixels.data.set([...panel.map((c, i) => c + weight * (ink[i] - c)), 255], 4 * at);
      for (let at = 0; at < n; at += 1) set(at, panel, 0);
      for (let at = 1; at < n; at += 1) pixels.data.copyWithin(4 * n * at, 0, 4 * n);
      for (const [at, count] of counts) {
        const [row, column] = [Math.floor(at / n), at % n];
        set(at, row === column ? right : wrong, Math.sqrt(count / totals[given.order[row]])); // or few would look like none
      }
      wide.getContext("2d").putImageData(pixels, 0, 0);
    };
    let [side, row, column] = [Math.max(1, Math.min(24, Math.floor(Math.min(wide.parentElement.clientWidth, 560) / n))), 0, 0];
    const zoom = (factor) => {
      side = Math.min(40, Math.max(1, side * factor));
      wide.style.width = wide.style.height = `${n * side}px`;
    };
    const name = () => {
      const [t, p] = [given.order[row], given.order[column]];
      const count = counts.get(row * n + column) ?? 0;
      const text = `${classes[t]} ${t === p ? "recognised" : `taken for ${classes[p]}`}: ${count} of ${totals[t]}`;
      byId("cell").textContent = wide.title = text;
    };
    const follow = (event) => {
      [column, row] = [event.offsetX, event.offsetY].map((at) => Math.max(0, Math.min(n - 1, Math.floor(at / side))));
      name();
    };
    const pick = () => showCell(given.order[row], given.order[column]);
    wide.addEventListener("pointermove", follow);
    wide.addEventListener("click", (event) => { follow(event); pick(); });
    wide.addEventListener("keydown", (event) => {
      const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      if (event.key === "Enter") pick();
      if (!right && !down) return;
      event.preventDefault();
      [row, column] = [row + down, column + right].map((at) => Math.max(0, Math.min(n - 1, at)));
      name();
    });
    byId("in").addEventListener("click", () => zoom(1.5));
    byId("out").addEventListener("click", () => zoom(1 / 1.5));
    colours.addEventListener("change", draw);
    draw();
    zoom(1);
  }

  update();
})();
