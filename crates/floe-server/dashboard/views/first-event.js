// What to do when there is no event yet: lines to copy, with this server's address.

import { Copy, Segments } from "../parts/controls.js";
import { Card } from "../parts/heading.js";
import { html, useState } from "../parts/html.js";
import { link } from "../parts/router.js";

const EVENT = `{"name": "chat", "external_customer_id": "ada", "metadata": {"tokens": 30}}`;

const LINES = {
  curl: (url) => `curl -sS ${url}/v1/events/ingest \\
  -H "Authorization: Bearer $FLOE_TOKEN" -H "Content-Type: application/json" \\
  -d '{"events": [${EVENT}]}'`,
  Python: (url) => `# pip install polar-sdk
import os
from polar_sdk import Polar

polar = Polar(os.environ["FLOE_TOKEN"], base_url="${url}")
polar.events.ingest({"events": [
    ${EVENT},
]})`,
  JavaScript: (url) => `const answer = await fetch("${url}/v1/events/ingest", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.FLOE_TOKEN}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    events: [{ name: "chat", external_customer_id: "ada", metadata: { tokens: 30 } }],
  }),
});
console.log(await answer.json());`,
  Rust: (url) => `// [dependencies] reqwest = { version = "0.13", features = ["json"] }, serde_json, tokio
let answer = reqwest::Client::new()
    .post("${url}/v1/events/ingest")
    .bearer_auth(std::env::var("FLOE_TOKEN")?)
    .json(&serde_json::json!({"events": [
        ${EVENT},
    ]}))
    .send()
    .await?;
println!("{}", answer.text().await?);`,
};

export function FirstEvent() {
  const [language, setLanguage] = useState("curl");
  const text = LINES[language](location.origin);
  return html`<${Card} title="Send the first event">
    <p>This organization has no events yet. An event says who used what, and when. Put a token with the scope
      events:write into <code>FLOE_TOKEN</code> (<a href=${link(["tokens"])}>make one</a>), and run:</p>
    <div class="code-head">
      <${Segments} label="Language" value=${language} onChange=${setLanguage}
        options=${Object.keys(LINES).map((one) => [one, one])} />
      <${Copy} text=${text} what="the lines" />
    </div>
    <pre class="code" tabindex="0">${text}</pre>
    <p class="muted">This page shows the event as soon as it is there. Then <a href=${link(["meters", "new"])}>make a meter</a> that counts it.</p>
  <//>`;
}
