import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * Where tools.sh installs to. Before any test is registered the directory goes to the head of the path, so that a test
 * asks for these programs as for any other.
 */
const directory =
  process.env['HOLDFAST_CHART_TOOLS'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'holdfast/chart-tools');

process.env['PATH'] = [directory, process.env['PATH']].join(delimiter);

/** Renders, and checks what was rendered as the API server would. */
export const renderTools = ['helm', 'holdfast-chart-checker'];
/** The etcd of the version that the chart deploys. */
export const etcdTool = 'etcd-3.6';
