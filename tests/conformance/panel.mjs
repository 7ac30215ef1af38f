// What a panel shows. Reads {panel, answer} from stdin, where `answer` is the body of POST /api/ds/query, and writes
// the frames that reach the panel's visualization, as columns and rows. Every step between is Grafana's own code.
import './browser.mjs';

import {
  fieldMatchers,
  getFieldDisplayName,
  sortDataFrame,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { transformV2 } from '@grafana/prometheus';
import { toDataQueryResponse } from '@grafana/runtime';
import { text } from 'node:stream/consumers';
import { lastValueFrom } from 'rxjs';

standardTransformersRegistry.setInit(() => [registered(standardTransformers.organizeFieldsTransformer)]);
text(process.stdin).then(JSON.parse).then(display).then((shown) => process.stdout.write(JSON.stringify(shown)));

async function display({ panel, answer }) {
  const response = toDataQueryResponse({ data: answer, status: 200 }, panel.targets);
  const queried = transformV2(response, { app: 'dashboard', targets: panel.targets }, {});
  const frames = await lastValueFrom(transformDataFrame(panel.transformations ?? [], queried.data));
  return frames.map((frame) => shown(frame, frames, panel));
}

// Grafana 11 expects the transformation here, 13 a function that loads it: this is both.
function registered({ id, name, defaultOptions, operator }) {
  const loaded = { id, name, defaultOptions, operator };
  return { id, name, transformation: Object.assign(async () => loaded, { defaultOptions, operator }) };
}

function shown(frame, frames, panel) {
  const header = (field) => getFieldDisplayName(field, frame, frames);
  const rows = sorted(frame, header, panel.options?.sortBy ?? []);
  return {
    columns: frame.fields.map(header),
    rows: Array.from({ length: frame.length }, (_, row) => rows.fields.map((field) => field.values[row])),
    overridden: (panel.fieldConfig.overrides ?? []).map(({ matcher }) => {
      const matches = fieldMatchers.get(matcher.id).get(matcher.options);
      return frame.fields.filter((field) => matches(field, frame, frames)).map(header);
    }),
  };
}

// The table's own rule: by the column with that header, and not at all where no column has it.
function sorted(frame, header, sortBy) {
  return sortBy.reduceRight((rows, { displayName, desc }) => {
    const column = frame.fields.findIndex((field) => header(field) === displayName);
    return column < 0 ? rows : sortDataFrame(rows, column, desc);
  }, frame);
}
