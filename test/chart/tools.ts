import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * Where tools.sh installs. The directory becomes the first one in PATH before any test is registered, so that tests find
 * these programs like any other.
 */
const directory =
  process.env['HOLDFAST_CHART_TOOLS'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'holdfast/chart-tools');

process.env['PATH'] = [directory, process.env['PATH']].join(delimiter);

/** Programs that render the chart and validate the result like the API server. */
export const renderTools = ['helm', 'holdfast-chart-checker'];
/** The etcd of the version that the chart deploys. */
export const etcdTool = 'etcd-3.6';
