import type { NgDictionary } from '../../../services/control/ng/message.js';
import { optionsOf } from '../../../services/control/ng/options.js';
import { unsupportedOption } from '../../../services/control/ng/unsupported.js';
import { RefusedError } from '../../media/errors.js';
import type { RecordingFormat } from '../../media/recording/track.js';

/**
 * What is to be recorded, in the words of rtpengine's recording daemon.
 * @param preset where the request does not say it @throws RefusedError naming the option
 */
export function recordingFormat(body: NgDictionary, preset: RecordingFormat): RecordingFormat {
  const output = choice(body, 'output-format', ['pcap', 'wav']) ?? (preset === 'pcap' ? 'pcap' : 'wav');
  const mix = choice(body, 'mix-method', ['direct', 'channels']);
  if (output === 'pcap') {
    return 'pcap';
  }
  return (mix ?? (preset === 'wav-channels' ? 'channels' : 'direct')) === 'channels' ? 'wav-channels' : 'wav';
}

function choice<T extends string>(body: NgDictionary, name: string, allowed: readonly T[]): T | undefined {
  const value = optionsOf(body).findLast(({ key }) => key === name)?.values[0];
  const chosen = allowed.find((each) => each === value?.toLowerCase());
  if (value !== undefined && chosen === undefined) {
    throw new RefusedError(unsupportedOption(name));
  }
  return chosen;
}
