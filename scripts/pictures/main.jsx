// Draws the panels of one dashboard from query results with Grafana's own components; `draw.py` brings data and takes the picture.
// require, not import: the packages' ES modules end in .mjs, where a bundler reads default exports of older packages as Node does.
const {
  createTheme, createDataFrame, EventBusSrv, FieldType, getDisplayProcessor, standardTransformers, standardTransformersRegistry, ThemeContext, transformDataFrame, dateTime,
} = require('@grafana/data');
const { BigValue, BigValueColorMode, BigValueGraphMode, PanelChrome, PanelContextProvider, Table, TimeSeries } = require('@grafana/ui');
const React = require('react');
const { createRoot } = require('react-dom/client');

standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()].map((one) => ({ id: one.id, aliasIds: [], name: one.name, transformation: () => Promise.resolve(one), editor: () => null })),
);
const COLUMN = 58;
const ROW = 34;

function fieldsOf(panel, frame, theme) {
  const { defaults, overrides } = panel.fieldConfig;
  for (const field of frame.fields) {
    const given = field.config.displayName; // by a transformation
    const config = structuredClone({ ...(given && { displayName: given }), ...defaults, custom: defaults.custom ?? {} });
    for (const { matcher, properties } of overrides) {
      const hit = matcher.id === 'byName' ? [field.name, given].includes(matcher.options) : new RegExp(matcher.options.slice(1, -1)).test(field.name);
      if (!hit) continue;
      for (const { id, value } of properties) {
        if (id.startsWith('custom.')) config.custom[id.slice(7)] = value;
        else config[id] = value;
      }
    }
    delete config.links;
    if (field.type === FieldType.time) config.unit = config.unit === 'dateTimeFromNow' ? 'dateTimeAsIso' : undefined;
    if (config.thresholds) config.thresholds = { ...config.thresholds, steps: config.thresholds.steps.map((s) => ({ ...s, value: s.value ?? -Infinity })) };
    field.config = config;
    field.state = { displayName: config.displayName ?? field.name, seriesIndex: field.index };
    field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
    field.getLinks = () => [];
  }
  return frame;
}

function framesOf(panel, theme) {
  let index = 0;
  return panel.frames.map((raw) => {
    const frame = createDataFrame({ refId: raw.refId, name: raw.name, fields: raw.fields.map((f) => ({ ...f, config: {} })) });
    for (const field of frame.fields) if (field.type !== FieldType.time) field.index = index++;
    return frame;
  });
}

function Cells({ frames, width, height, zone, panel }) {
  const all = frames.flatMap((frame) => frame.fields.filter((f) => f.type !== FieldType.time).map((field) => [field, frame.fields[0].values]));
  const rows = all.slice(0, panel.options?.perPage ?? all.length);
  const left = 84;
  const times = [...new Set(rows.flatMap(([, t]) => t))].sort((a, b) => a - b);
  const w = (width - left) / Math.max(1, times.length);
  const h = (height - 18) / Math.max(1, rows.length);
  return (
    <svg width={width} height={height} fontSize="11" fill="currentColor">
      {rows.map(([field, own], r) => (
        <g key={r}>
          <text x={left - 6} y={r * h + h / 2 + 4} textAnchor="end">{field.state.displayName}</text>
          {own.map((t, i) => {
            const value = field.values[i];
            if (value == null) return null;
            const shown = field.display(value);
            return (
              <g key={t}>
                <rect x={left + times.indexOf(t) * w} y={r * h + 1} width={Math.max(0.8, w * (w > 12 ? 0.94 : 1.02))} height={h * 0.86} fill={shown.color} opacity="0.8" />
                {w > 26 && <text x={left + times.indexOf(t) * w + w / 2} y={r * h + h / 2 + 3} textAnchor="middle" fill="#111">{shown.text}</text>}
              </g>
            );
          })}
        </g>
      ))}
      {times.filter((_, i) => i % Math.ceil(times.length / 8) === 0).map((t) => (
        <text key={t} x={left + times.indexOf(t) * w} y={height - 3}>{new Date(t).toISOString().slice(panel.interval === '1d' ? 5 : 11, panel.interval === '1d' ? 10 : 16)}</text>
      ))}
    </svg>
  );
}

function Body({ panel, frames, width, height, theme, range }) {
  if (!frames.length || frames.every((f) => !f.length)) return <div style={{ padding: 16 }}>no data</div>;
  if (panel.type === 'stat') {
    const field = frames[0].fields.find((f) => f.type === FieldType.number);
    const value = { ...field.display(field.values[field.values.length - 1]), title: '' };
    return <BigValue value={value} width={width} height={height} theme={theme} colorMode={BigValueColorMode.Value} graphMode={BigValueGraphMode.None} />;
  }
  if (panel.type === 'table') {
    const frame = frames[0];
    const order = [...Array(frame.length).keys()];
    const keys = (panel.options.sortBy ?? []).map((by) => [frame.fields.find((f) => f.state.displayName === by.displayName), by.desc ? -1 : 1]);
    const beside = (a, b) => keys.reduce((so, [key, sign]) => so || ((key.values[a] ?? -Infinity) - (key.values[b] ?? -Infinity)) * sign, 0);
    order.sort(beside);
    const shown = frame.fields.filter((f) => !f.config.custom?.hideFrom?.viz);
    const sorted = { ...frame, fields: shown.map((f) => ({ ...f, values: order.map((i) => f.values[i]) })) };
    return <Table data={sorted} width={width - 16} height={height} cellHeight="sm" showTypeIcons={false} ariaLabel={panel.title} />;
  }
  if (panel.type === 'timeseries') {
    return <TimeSeries frames={frames} timeRange={range} timeZone="utc" width={width} height={height} legend={panel.options.legend} />;
  }
  return <Cells frames={frames} width={width} height={height} panel={panel} />;
}

// One panel that cannot be drawn must not take the others with it.
class Kept extends React.Component {
  state = { error: null };

  static getDerivedStateFromError(error) {
    return { error };
  }

  render() {
    return this.state.error ? <div style={{ padding: 12 }}>{`cannot be drawn here: ${this.state.error.message.slice(0, 200)}`}</div> : this.props.children;
  }
}

async function transformed(panel, frames) {
  if (!panel.transformations?.length) return frames;
  return new Promise((done) => transformDataFrame(panel.transformations, frames, { interpolate: (v) => v }).subscribe((f) => done(f)));
}

async function draw({ dashboard, from, to, dark }) {
  const theme = createTheme({ colors: { mode: dark ? 'dark' : 'light' } });
  document.body.style.cssText = `margin:0;background:${theme.colors.background.canvas};color:${theme.colors.text.primary};font-family:${theme.typography.fontFamily};font-size:14px`;
  const range = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
  const drawn = [];
  for (const panel of dashboard.panels) {
    const frames = (await transformed(panel, framesOf(panel, theme))).map((frame) => fieldsOf(panel, frame, theme));
    const { x, y, w, h } = panel.gridPos;
    drawn.push(
      <div key={panel.id} style={{ position: 'absolute', left: 12 + x * COLUMN, top: 56 + y * ROW, width: w * COLUMN - 8, height: h * ROW - 8 }}>
        <Kept><PanelChrome title={panel.title} width={w * COLUMN - 8} height={h * ROW - 8} padding="sm">
          {(width, height) => <Kept><Body panel={panel} frames={frames} width={width} height={height} theme={theme} range={range} /></Kept>}
        </PanelChrome></Kept>
      </div>,
    );
  }
  const bottom = Math.max(...dashboard.panels.map(({ gridPos: g }) => g.y + g.h));
  const page = (
    <ThemeContext.Provider value={theme}>
      <PanelContextProvider value={{ eventBus: new EventBusSrv(), eventsScope: 'p' }}>
        <div style={{ position: 'relative', width: 24 * COLUMN + 24, height: 64 + bottom * ROW }}>
          <h1 style={{ fontSize: 20, margin: 0, padding: '14px 14px 0', color: theme.colors.text.primary }}>{dashboard.title}</h1>
          {drawn}
        </div>
      </PanelContextProvider>
    </ThemeContext.Provider>
  );
  createRoot(document.getElementById('root')).render(page);
}

window.draw = draw;
window.ready = true;
