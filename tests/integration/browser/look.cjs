// Copyright (c) 2026, the alfred.portmap authors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Look at pages with the system's Chromium, all in one browser: node look.cjs MODULES OUTPUT JUDGED,JUDGED… READ…
// Judges the former by the rules of accessibility, in each way of looking at them; opens the latter as a reader would, and
// writes a screenshot of each into OUTPUT. Says as JSON what it saw. The browser has an empty profile of its own.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const url = require('node:url');

const [modules, output, judged, ...others] = process.argv.slice(2);
const { chromium } = require(path.join(modules, 'playwright-core'));
const rules = fs.readFileSync(path.join(modules, 'axe-core', 'axe.min.js'), 'utf8');

const WAYS = [
  { name: 'desktop-light', width: 1280, height: 800, scheme: 'light' },
  { name: 'desktop-dark', width: 1280, height: 800, scheme: 'dark' },
  { name: 'phone-light', width: 360, height: 740, scheme: 'light' },
  { name: 'phone-dark', width: 360, height: 740, scheme: 'dark' },
];
// Nothing of the browser's own may go out while it looks, and there is no display.
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

// Everything that a page asks for or complains of.
function listen(page) {
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('dialog', (dialog) => { said.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => { if (!/^(file|data):/.test(request.url())) said.push(request.url()); });
  return said;
}

// The accessibility rules are a script, which the page's own policy would not let in.
async function judge(browser, file) {
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const said = listen(page);
  await page.goto(url.pathToFileURL(file).href);
  await page.addScriptTag({ content: rules });
  const results = [];
  for (const way of WAYS) {
    await page.setViewportSize({ width: way.width, height: way.height });
    await page.emulateMedia({ colorScheme: way.scheme });
    const found = await page.evaluate(async () => {
      const result = await axe.run(document, { resultTypes: ['violations'] });
      return {
        violations: result.violations.map((one) => `${one.id}: ${one.nodes.length} times, first ${one.nodes[0].html.slice(0, 200)}`),
        passes: result.passes.map((one) => one.id),
        wider: document.documentElement.scrollWidth - window.innerWidth,
        background: getComputedStyle(document.body).backgroundColor,
      };
    });
    results.push({ page: path.basename(file, '.html'), way: way.name, said, ...found });
  }
  await context.close();
  return results;
}

// As a reader has it: with its own policy, and without JavaScript.
async function read(browser, file) {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  const page = await context.newPage();
  const said = listen(page);
  await page.goto(url.pathToFileURL(file).href);
  await page.screenshot({ path: path.join(output, `${path.basename(file, '.html')}.png`) });
  const result = { page: path.basename(file, '.html'), said };
  result.background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  result.rows = await page.locator('.matrix tbody tr:visible').count();
  result.heading = await page.locator('h1').innerText();
  if (await page.locator('#only').count()) {
    await page.locator('label[for=only]').click();
    result.different = await page.locator('.matrix tbody tr:visible:not(.host)').count();
  }
  await context.close();
  return result;
}

(async () => {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  const results = { judged: [], read: [] };
  for (const file of judged.split(',')) results.judged.push(...await judge(browser, file));
  for (const file of others) results.read.push(await read(browser, file));
  await browser.close();
  process.stdout.write(JSON.stringify(results));
})().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
