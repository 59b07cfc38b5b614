() => {
  const faults = [];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const say = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} ` +
    `"${(element.textContent ?? "").trim().slice(0, 40)}"`;
  const name = (element) => {
    const by = element.getAttribute("aria-labelledby");
    if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const labels = element.labels ? [...element.labels].map((label) => label.textContent).join(" ") : "";
    return (element.getAttribute("aria-label") || labels || (element.type === "submit" && element.value) ||
      element.textContent || element.title || "").trim();
  };

  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main landmark");
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((each) => each.checkVisibility());
  if (headings.filter((each) => each.tagName === "H1").length !== 1) faults.push("not one h1");
  headings.reduce((before, heading) => {
    const level = Number(heading.tagName[1]);
    if (level > before + 1) faults.push(`a heading skips a level: ${say(heading)}`);
    return level;
  }, 0);

  const ids = new Map();
  for (const element of document.querySelectorAll("[id]")) {
    if (element.closest("svg")) continue;
    if (ids.has(element.id)) faults.push(`id twice: ${element.id}`);
    ids.set(element.id, element);
  }
  for (const element of document.querySelectorAll("a[href], button, input, select, textarea, summary, progress")) {
    if (element.type !== "hidden" && shown(element) && !name(element)) faults.push(`no name: ${say(element)}`);
    if (element.tabIndex > 0) faults.push(`its own tab order: ${say(element)}`);
  }
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const id of (element.getAttribute("aria-labelledby") ?? element.getAttribute("aria-describedby")).split(" "))
      if (!document.getElementById(id)) faults.push(`names what is not there: ${id}`);
  }
  for (const image of document.querySelectorAll("img, svg[role=img]"))
    if (!name(image) && !image.alt && !image.querySelector("title")) faults.push(`no text instead: ${say(image)}`);
  for (const svg of document.querySelectorAll("main svg"))
    if (svg.getAttribute("role") !== "img" && !svg.closest("[aria-hidden=true]")) faults.push(`no role: ${say(svg)}`);
  for (const table of document.querySelectorAll("main table"))
    if (shown(table) && !table.querySelector("th[scope]")) faults.push(`no header cells: ${say(table)}`);

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((each, i) => each * a + below[i] * (1 - a));
  const background = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = (color) => color
    .map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg, script, option") || !shown(element)) continue;
    if (element.closest(".visually-hidden, .skip-to-content-link")) continue;
    const style = getComputedStyle(element);
    const below = background(element);
    const [one, two] = [light(over(rgba(style.color), below)), light(below)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${say(element)}`);
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) faults.push("scrolls sideways");
  return [...new Set(faults)];
}
