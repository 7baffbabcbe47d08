// Expands rules with rrule-temporal: one JSON object a line in, one JSON list of local times a line out, or null where
// it gives up. Called by differential.py, with the directory of its node_modules as the argument.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.argv[2] + "/"));
const { RRuleTemporal } = await import(pathToFileURL(require.resolve("rrule-temporal")));

function expand({ dtstart, rrule, limit, horizon }) {
  try {
    const rule = new RRuleTemporal({
      rruleString: `DTSTART:${dtstart}Z\nRRULE:${rrule}`,
      maxIterations: 10000,
      maxCandidateEvaluations: 50000,
    });
    const found = [];
    rule.all((at) => {
      const text = at.toPlainDateTime().toString({ smallestUnit: "second" }).replace(/[-:]/g, "");
      if (text >= horizon) return false;
      found.push(text);
      return found.length < limit;
    });
    return found;
  } catch {
    return null;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(expand(JSON.parse(line))));
}
