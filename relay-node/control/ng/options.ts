import type { NgDictionary } from '../../../services/control/ng/message.js';
import { type Option, optionsOf, sourceOf } from '../../../services/control/ng/options.js';
import type { WantedInterfaces } from '../../media/dialog.js';
import type { IcePolicy } from '../../media/ice/credentials.js';
import type { Family } from '../../media/interfaces.js';
import type { MuxPolicy } from '../../media/rtcp-mux.js';
import type { RtcpAttribute } from './rewrite.js';

/** How an offer or answer is to be carried out. */
export interface MediaOptions {
  readonly replaceOrigin: boolean;
  readonly rtcpAttribute: RtcpAttribute;
  readonly rtcpMux: MuxPolicy;
  readonly ice: IcePolicy;
  /** The call is to be recorded. */
  readonly isRecorded: boolean;
  /** The address to believe more than the SDP's: where the SIP message came from. */
  readonly source: string | undefined;
  /** The party that signals sends from other addresses than those of its SDP. */
  readonly isAsymmetric: boolean;
  readonly wanted: WantedInterfaces;
  /** What the other party is told in place of the relay's address. */
  readonly mediaAddress: string | undefined;
}

/** Of a request that needs nothing beyond forwarding. */
export function mediaOptions(body: NgDictionary): MediaOptions {
  const options = optionsOf(body);
  const has = (key: string) => options.some((option) => option.key === key);
  const full = has('full-rtcp-attribute') ? 'full' : 'as-sent';
  const valuesOf = (key: string) => options.findLast((option) => option.key === key)?.values ?? [];
  const [own, other] = directionOf(options);
  const [version] = valuesOf('address-family');
  const [mediaAddress] = valuesOf('media-address');
  return {
    wanted: {
      own: { name: own },
      other: { name: other, family: version === undefined ? undefined : familyOf(version) },
    },
    mediaAddress,
    ice: has('reject-ice') ? 'remove' : icePolicy(valuesOf('ice')),
    isRecorded: options.some(({ key, values }) => key === 'record-call' && !isOff(values)),
    rtcpMux: {
      offer: has('rtcp-mux-offer'),
      require: has('rtcp-mux-require'),
      accept: has('rtcp-mux-accept'),
      demux: has('rtcp-mux-demux'),
      reject: has('rtcp-mux-reject'),
    },
    replaceOrigin: has('replace-origin'),
    rtcpAttribute: has('no-rtcp-attribute') ? 'none' : full,
    source: sourceOf(body, options),
    isAsymmetric: has('asymmetric'),
  };
}

/** In a list of two, or one after the other in flags: the interface of the party that signals, and that of the other one. */
function directionOf(options: readonly Option[]): readonly string[] {
  return options.flatMap(({ key, values }) => (key === 'direction' ? values : []));
}

function familyOf(text: string): Family {
  return text === 'IP6' ? 6 : 4;
}

function isOff([value = '']: readonly string[]): boolean {
  return ['no', 'off'].includes(value.toLowerCase());
}

function icePolicy([value = '']: readonly string[]): IcePolicy {
  const policy = value.toLowerCase();
  return policy === 'force' || policy === 'remove' ? policy : 'default';
}
