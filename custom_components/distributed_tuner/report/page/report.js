"use strict";
(() => {
  const { figures, texts } = JSON.parse(document.getElementById("payload").textContent);
  const root = document.documentElement;
  const coarse = matchMedia("(pointer: coarse)").matches;
  const buttons = [["toImage", "zoom2d", "pan2d", "autoScale2d", "resetScale2d"]];
  let picked = null;

  // Plotly does not know CSS variables, so each var(--name) is replaced by its value in the current scheme.
  function coloured(node, style) {
    if (typeof node === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(node);
      return name ? style.getPropertyValue(name[1]).trim() : node;
    }
    if (Array.isArray(node)) return node.map((item) => coloured(item, style));
    if (node && typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, coloured(item, style)]));
    }
    return node;
  }

  // The points of one trial, as an extra trace on top of the others; a gap between the stays and lines of a trial.
  function highlight(traces) {
    const bars = traces.some((trace) => trace.type === "bar");
    const points = { x: [], y: [] };
    for (const trace of traces) {
      (trace.customdata || []).forEach((trial, index) => {
        if (trial !== picked || trace.name === "improvement" || (bars && trace.type !== "bar")) return;
        if (bars) {
          points.x.push(trace.base[index], trace.base[index] + trace.x[index], null);
          points.y.push(trace.y[index], trace.y[index], null);
        } else {
          points.x.push(trace.x[index]);
          points.y.push(trace.y[index]);
        }
      });
    }
    return {
      ...points, type: "scatter", mode: "lines+markers", name: "picked trial", showlegend: false, hoverinfo: "skip",
      line: { color: "var(--picked)", width: bars ? 5 : 3.5 }, marker: { color: "var(--picked)", size: bars ? 6 : 9 },
    };
  }

  function draw(width) {
    const style = getComputedStyle(root);
    for (const [name, figure] of Object.entries(figures)) {
      const data = picked === null ? figure.data : [...figure.data, highlight(figure.data)];
      const layout = coloured(figure.layout, style);
      Object.assign(layout, width ? { width, autosize: false } : { autosize: true });
      const crowded = width && parseInt(document.getElementById(name).style.minWidth, 10) > width;
      if (crowded) layout.xaxis.tickfont = { size: 9 };
      if (coarse) layout.dragmode = false;
      const config = { responsive: true, displaylogo: false, modeBarButtons: buttons };
      Plotly.react(name, coloured(data, style), { ...layout, uirevision: "kept" }, config);
    }
  }

  function pick(trial) {
    picked = picked === trial ? null : trial;
    for (const row of document.querySelectorAll("#leaderboard tbody tr")) {
      const is = row.dataset.trial === picked;
      row.classList.toggle("picked", is);
      row.querySelector("button").setAttribute("aria-pressed", String(is));
    }
    draw();
  }

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return a.localeCompare(b, undefined, { numeric: true });
    return x - y;
  }

  function sortBy(head) {
    const heads = [...head.parentElement.children];
    const column = heads.indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.cells[column].dataset.sort ?? row.dataset.trial;
    const rows = [...body.rows].map((row) => [key(row), row]);
    // What is missing stays last whichever way the rest goes.
    rows.sort(([a], [b]) => compare(a, b) * (down && a !== "" && b !== "" ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  }

  const table = document.getElementById("leaderboard");
  table?.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.closest("thead")) sortBy(button.closest("th"));
    else pick(button.closest("tr").dataset.trial);
  });
  document.getElementById("all")?.addEventListener("click", (event) => {
    table.classList.remove("short");
    event.target.remove();
  });

  for (const { data } of Object.values(figures)) {
    for (const trace of data) {
      if (trace.hoverinfo === "text") trace.hovertext ??= trace.customdata.map((trial) => texts[trial] ?? "");
    }
  }
  draw();
  for (const name of Object.keys(figures)) {
    document.getElementById(name).on("plotly_click", ({ points }) => points[0].customdata && pick(points[0].customdata));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  // Paper is light and narrower than most screens.
  addEventListener("beforeprint", () => { root.classList.add("printing"); draw(690); });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    draw();
    Object.keys(figures).forEach((name) => Plotly.Plots.resize(name));
  });
})();
