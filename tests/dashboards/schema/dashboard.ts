/**
 * The dashboards' JSON as one strict type: Grafana's own published types, with the panels we use and their options filled in.
 *
 * Grafana's `Panel` leaves `options`, `fieldConfig.defaults.custom` and `targets` open because a plug-in may bring its own.
 * Here they are closed per panel type, so that a typing slip in them is found as well. Options are partial: Grafana fills
 * in what is absent. InfluxQL has no query type in `@grafana/schema`; `Query` is ours.
 */
import type { AnnotationQuery, Dashboard as Raw, FieldConfig, Panel } from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as stateTimeline from '@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import type * as stat from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as statusHistory from '@grafana/schema/dist/types/raw/composable/statushistory/panelcfg/x/types.gen';
import type * as table from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as timeseries from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';

interface DataSource {
  type: 'influxdb';
  uid: string;
}

interface Query {
  refId: string;
  datasource: DataSource;
  query: string;
  rawQuery: true;
  resultFormat: 'time_series' | 'table';
  alias?: string;
  hide?: boolean;
}

interface Fields<Custom> {
  defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> };
  /** `value` is judged by `validate.mjs`, which puts each override in the place of `defaults`. */
  overrides: Array<{
    matcher: { id: 'byName' | 'byRegexp'; options: string };
    properties: Array<{ id: string; value: unknown }>;
  }>;
}

/** Every panel has an id, a place, a title and a description: our rule, stricter than Grafana's. */
interface OurPanel<Type extends string, Options, Custom> extends Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  id: number;
  title: string;
  description: string;
  gridPos: { h: number; w: number; x: number; y: number };
  datasource: DataSource;
  type: Type;
  options: Partial<Options>;
  fieldConfig: Fields<Custom>;
  targets: Query[];
}

/** Told apart by `type`: `validate.mjs` turns this union into a discriminated one, so that errors name the panel's own type. */
export type AnyPanel =
  | OurPanel<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | OurPanel<'state-timeline', stateTimeline.Options, stateTimeline.FieldConfig>
  | OurPanel<'status-history', statusHistory.Options, statusHistory.FieldConfig>
  | OurPanel<'stat', stat.Options, Record<string, never>>
  | OurPanel<'table', table.Options, table.FieldConfig>;

/** Grafana's InfluxDB data source reads an annotation's query from `target`, not from the fields of its own type. */
interface AnnotationTarget extends Query {
  textEditor: true;
  fromAnnotations: true;
  textColumn: string;
  tagsColumn: string;
}

interface Annotation extends Omit<AnnotationQuery, 'target' | 'datasource'> {
  datasource: DataSource;
  target: AnnotationTarget;
}

export interface Dashboard extends Omit<Raw, 'panels' | 'annotations'> {
  uid: string;
  title: string;
  description: string;
  panels: AnyPanel[];
  annotations: { list: Annotation[] };
}
