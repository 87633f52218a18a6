// Puts the page together.
document.getElementById("program").textContent = `${run.program} · ${run.date}`;
document.getElementById("footer").textContent = `Written by multiprocessing ${run.version}. This page needs nothing but itself.` +
  (pool && pool.lost > 0 ? ` ${count(pool.lost)} tasks were counted but not seen one by one.` : "");
if (!pool) {
  for (const card of document.querySelectorAll("main .card, main .pair")) card.remove();
} else {
  const fill = () => {
    fillFacts(); fillLegend(); fillTables(); drawDistribution();
    view.from = 0; view.to = length; chosenSpan = null; chosenTrack = 0;
    drawTimeline(); drawUtilisation();
  };
  const choice = document.getElementById("pool");
  if (run.pools.length > 1) {
    document.getElementById("pool-choice").hidden = false;
    choice.replaceChildren(...run.pools.map((p, i) => element("option", {value: String(i), textContent: `${i + 1}: ${p.name}`})));
    choice.addEventListener("change", () => { pool = run.pools[Number(choice.value)]; fill(); });
  }
  const resized = () => { drawDistribution(); redraw(); };
  themeListeners.push(() => { fillLegend(); resized(); });
  addEventListener("resize", resized);
  fill();
}
root.dataset.ready = "yes";
