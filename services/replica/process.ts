import { passedSockets } from '../runtime/activation.js';
import { unknownVariables } from '../runtime/config.js';
import { runUntilSignal } from '../runtime/lifecycle.js';
import { openLog } from '../runtime/log.js';
import { readSelectionConfig, selectionSettings } from './config.js';
import { Replica } from './replica.js';

/** Runs one replica until it is told to stop. @returns the exit code @throws ConfigError */
export async function runSelection(environment: NodeJS.ProcessEnv): Promise<number> {
  const config = readSelectionConfig(environment);
  const { log, close } = openLog('selection', config.logLevel);
  for (const name of unknownVariables(selectionSettings, environment)) {
    log.warn({ variable: name }, 'not a setting of this process; ignored');
  }
  const replica = new Replica(config, log, passedSockets(environment, process.pid));
  const stopDeadlineMs = (config.leaveSeconds + config.stopDeadlineSeconds) * 1000;
  return runUntilSignal(replica, { log, stopDeadlineMs }).finally(close);
}
