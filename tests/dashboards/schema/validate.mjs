// Grafana's types → JSON Schema → ajv: `node validate.mjs FILE…` prints {file: [error, …]} for each dashboard file.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const here = dirname(fileURLToPath(import.meta.url));
const schema = createGenerator({
  path: join(here, 'dashboard.ts'),
  tsconfig: join(here, 'tsconfig.json'),
  type: 'Dashboard',
  additionalProperties: false,
}).createSchema('Dashboard');

// Judge a panel by the branch of its own type only; against all of them a slip would be reported once per type.
const panels = schema.definitions.AnyPanel;
panels.oneOf = panels.anyOf;
delete panels.anyOf;
panels.type = 'object';
panels.required = ['type'];
panels.discriminator = { propertyName: 'type' };

const validate = new Ajv({ allErrors: true, strict: false, discriminator: true }).compile(schema);

// An override sets the same properties as the defaults do, for some fields: put it in their place and judge it the same way.
const asDefaults = ({ properties }) => {
  const defaults = {};
  for (const { id, value } of properties) {
    if (id.startsWith('custom.')) (defaults.custom ??= {})[id.slice('custom.'.length)] = value;
    else defaults[id] = value;
  }
  return defaults;
};

const errors = (dashboard, where) => {
  validate(dashboard);
  return (validate.errors ?? []).map((e) => `${where}${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
};

const report = {};
for (const file of process.argv.slice(2)) {
  const dashboard = JSON.parse(readFileSync(file, 'utf8'));
  report[file] = errors(dashboard, '');
  for (const panel of dashboard.panels) {
    for (const override of panel.fieldConfig?.overrides ?? []) {
      const alone = { ...panel, fieldConfig: { defaults: asDefaults(override), overrides: [] } };
      report[file].push(...errors({ ...dashboard, panels: [alone] }, `override of panel ${panel.id}: `));
    }
  }
}
process.stdout.write(JSON.stringify(report));
