// Runs all sections, each in a browser window of its own, and sums up.

import takePictures from "./pictures.mjs";
import { finish, openBrowser, startServer } from "./support.mjs";

const SECTIONS = ["sign_in", "usage", "zones", "meters", "builder", "events", "customers", "root", "trouble", "gateway", "hostile", "looks"];

const wanted = process.argv.slice(2);
const pictures = process.env.FLOE_PICTURES;
const server = await startServer();
const browser = await openBrowser();
try {
  if (pictures) await takePictures(server, browser, pictures);
  for (const section of pictures ? [] : SECTIONS) {
    if (wanted.length > 0 && !wanted.some((name) => section.includes(name))) continue;
    console.log(`== ${section}`);
    const { default: run } = await import(`./${section}.mjs`);
    await run(server, browser);
  }
} finally {
  await browser.close();
  await server.remove();
}
finish();
