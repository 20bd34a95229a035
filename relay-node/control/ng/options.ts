import { isIP } from 'node:net';
import { text } from '../../../services/control/ng/fields.js';
import type { NgDictionary, NgValue } from '../../../services/control/ng/message.js';
import type { SessionDescription } from '../../../services/control/ng/session-description.js';
import { isUnspecified } from '../../../services/runtime/address.js';
import type { RtcpAttribute } from './rewrite.js';

/** What the relay has to offer, by which some options are judged. */
export interface Equipment {
  /** The address that parties are told. */
  readonly address: string;
  /** Names of the interface of that address. */
  readonly interfaces: readonly string[];
}

/** How an offer or answer is to be carried out. */
export interface MediaOptions {
  readonly replaceOrigin: boolean;
  readonly rtcpAttribute: RtcpAttribute;
  /** The address to believe more than the SDP's: where the SIP message came from. */
  readonly source: string | undefined;
}

interface Request extends Equipment {
  readonly sdp: SessionDescription;
  readonly isAnswer: boolean;
}

interface Rule {
  /** For which values; the default is all. */
  readonly when?: (values: readonly string[], request: Request) => boolean;
  /** Why it is safe to answer ok. */
  readonly because: string;
}

const isOneOf =
  (...allowed: readonly string[]) =>
  (values: readonly string[]) =>
    values.every((value) => allowed.includes(value.toLowerCase()));
const identity: Rule = { because: 'says what the request is about' };
const rtpOnly: Rule = { because: 'done: nothing of it is generated here' };
const noRecording: Rule = { because: 'describes recordings, and there are none' };
const faxTuning: Rule = { because: 'tunes a fax gateway that only T.38-decode and T.38-force start' };

/**
 * Every option of an offer or answer that this relay carries out, or that asks for nothing that it does not do. All others
 * are refused, also those that nobody has heard of: an option that is ignored makes one-way audio, or no encryption.
 * Elements of lists go by the name of their list: `replace-origin`, `rtcp-mux-accept`, `SDES-off`, `codec-strip`.
 * RTP/SAVP, DTLS and SDES pass as they come, end to end; the relay has no keys.
 */
const supported: Readonly<Record<string, Rule>> = {
  command: identity,
  sdp: identity,
  'call-id': identity,
  'from-tag': identity,
  'to-tag': identity,
  'via-branch': identity,
  'received-from': { because: 'done: used with SIP-source-address' },
  'supports-load-limit': { because: 'done: see the session limit' },
  label: { because: 'names a party in reports; media do not depend on it' },
  'from-label': { because: 'as label' },
  'to-label': { because: 'as label' },
  'set-label': { because: 'as label' },

  'replace-origin': { because: 'done' },
  'replace-session-connection': { because: 'done: always' },
  'replace-zero-address': {
    when: (_, { sdp }) => !sdp.media.some(({ address }) => address !== undefined && isUnspecified(address)),
    because: 'there is no zero address in this SDP',
  },
  'no-rtcp-attribute': { because: 'done' },
  'full-rtcp-attribute': { because: 'done' },
  'rtcp-mux-accept': { because: 'done: passes from party to party' },
  'original-sendrecv': { because: 'done: directions pass as they come' },
  'transport-protocol': {
    when: (values, { sdp }) => values.every((value) => value === 'accept' || isProtocolOfAll(sdp, value)),
    because: 'the media have this protocol already',
  },
  'address-family': {
    when: (values, { address }) => values.every((value) => value === `IP${isIP(address)}`),
    because: 'the media address is of this family',
  },
  'media-address': {
    when: (values, { address }) => values.every((value) => value === address),
    because: 'it is the media address',
  },
  direction: {
    when: (values, { interfaces }) => values.every((value) => interfaces.includes(value)),
    because: 'it is the one interface',
  },

  'sip-source-address': { because: 'done' },
  'trust-address': { because: 'done: the default' },
  symmetric: { because: 'done: the default' },
  'strict-source': { because: 'done: strangers are always dropped' },
  'port-latching': { because: 'done: ports never change during a call' },
  'no-port-latching': { because: 'concerns parties that speak ICE' },
  reset: { because: 'done: every offer and answer is learned anew' },
  'endpoint-learning': {
    when: isOneOf('immediate', 'delayed', 'heuristic'),
    because: 'done: the first source after an offer or answer, and the signaled address at any time',
  },

  ice: { when: isOneOf('remove', 'default'), because: 'done: without ICE, parties use c= and m= (RFC 8839)' },
  'ice-lite': { when: isOneOf('off'), because: 'done: no ICE at all' },
  'reject-ice': { because: 'done: ICE is always removed' },
  dtls: {
    when: (values, { sdp }) => isOff(values) && !sdp.media.some(({ keys }) => keys === 'dtls'),
    because: 'no DTLS is in this SDP, and none is added',
  },
  'sdes-off': {
    when: (_, { sdp }) => !sdp.media.some(({ keys }) => keys === 'sdes'),
    because: 'no SDES keys are in this SDP, and none are added',
  },
  'sdes-nonew': rtpOnly,
  'pad-crypto': rtpOnly,

  ptime: { when: (_, { isAnswer }) => isAnswer, because: 'concerns offers only' },
  'ptime-reverse': { when: (_, { isAnswer }) => isAnswer, because: 'concerns offers only' },
  'allow-transcoding': { because: 'allows, and does not ask for anything' },
  'asymmetric-codecs': { because: 'done: codecs are between the parties' },
  'no-jitter-buffer': { because: 'done: there is none' },
  'delay-buffer': { when: isOneOf('0'), because: 'done: there is none' },
  'generate-rtcp': { when: isOneOf('off'), because: 'done: RTCP passes as it comes' },
  'drop-traffic': { when: isOneOf('stop'), because: 'done: nothing is dropped' },
  'audio-player': { when: isOneOf('off', 'default'), because: 'done: there is none' },
  'early-media': { because: 'concerns the audio player' },
  tos: {
    when: (values) => values.every((value) => Number(value) < 0 || Number(value) > 255),
    because: 'leaves the default',
  },
  't.38-stop': faxTuning,
  't.38-fec': faxTuning,
  't.38-no-ecm': faxTuning,
  't.38-no-v.17': faxTuning,
  't.38-no-v.27ter': faxTuning,
  't.38-no-v.29': faxTuning,
  't.38-no-v.34': faxTuning,
  't.38-no-iaf': faxTuning,

  'record-call': { when: isOneOf('no', 'off'), because: 'done: nothing is recorded' },
  metadata: noRecording,
  'discard-recording': noRecording,
  'exclude-recording': noRecording,
  'skip-recording-db': noRecording,

  unidirectional: { because: 'concerns the kernel path of rtpengine' },
  'loop-protect': { because: 'a call that passes here twice is relayed twice, never in a circle' },
  'no-redis-update': { because: 'done: there is no Redis' },
  debug: { because: 'concerns the log' },
  debugging: { because: 'concerns the log' },
  all: { because: 'concerns other commands' },
  fatal: { because: 'concerns other commands' },
  'delete-delay': { because: 'concerns delete' },
  // Not of rtpengine: rtpproxy's, which old proxy scripts still hand over.
  force: { because: 'an rtpproxy flag that rtpengine ignores as well' },
};

/** Lists whose elements are options of their own. */
const lists = ['replace', 'rtcp-mux', 'sdes', 'osrtp', 't.38', 'supports', 'codec'];
const transports = /^(?:UDP\/TLS\/)?RTP\/S?AVPF?$/;

/** An option that a request carries; `name` is for people, `key` for the table. */
interface Asked {
  readonly key: string;
  readonly name: string;
  readonly values: readonly string[];
}

/** The first option that this relay cannot carry out; undefined if it can carry out all. */
export function firstUnsupported(
  body: NgDictionary,
  sdp: SessionDescription,
  equipment: Equipment,
): string | undefined {
  const request = { ...equipment, sdp, isAnswer: text(body['command']) === 'answer' };
  const asked = optionsOf(body);
  for (const { key, name, values } of asked) {
    const rule = Object.hasOwn(supported, key) ? supported[key] : undefined;
    if (!rule || (rule.when && !rule.when(values, request))) {
      return name;
    }
  }
  // RFC 8827: browsers speak to nobody without ICE. Others fall back, which is why it is removed.
  const removesIce = asked.some(({ key, values }) => key === 'ice' && isOneOf('remove')(values));
  if (sdp.hasIce && !removesIce && sdp.media.some(({ protocol }) => /\/TLS\//i.test(protocol))) {
    return 'ICE';
  }
  return hasForeignFamily(sdp, equipment.address, sourceOf(body, asked)) ? 'address-family' : undefined;
}

/** How to carry it out. Meant for requests in which nothing is unsupported. */
export function mediaOptions(body: NgDictionary): MediaOptions {
  const asked = optionsOf(body);
  const has = (key: string) => asked.some((option) => option.key === key);
  const full = has('full-rtcp-attribute') ? 'full' : 'as-sent';
  return {
    replaceOrigin: has('replace-origin'),
    rtcpAttribute: has('no-rtcp-attribute') ? 'none' : full,
    source: sourceOf(body, asked),
  };
}

function optionsOf(body: NgDictionary): Asked[] {
  return Object.entries(body).flatMap(([key, value]) => {
    const spelled = spell(key);
    if (spelled === 'flags' || spelled === 'rtpp-flags') {
      return wordsOf(value).map(fromWord);
    }
    if (lists.includes(spelled)) {
      return elementsOf(value).map((element) => option(`${key}-${element}`));
    }
    return [option(key, Array.isArray(value) ? value.map(String) : [text(value) ?? String(value)])];
  });
}

/** A word of `flags`: a flag, a `name=value`, or a transport protocol. */
function fromWord(word: string): Asked {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
  if (name !== undefined && value !== undefined) {
    return lists.includes(spell(name)) ? option(`${name}-${value}`) : option(name, [value]);
  }
  return transports.test(word) ? option('transport-protocol', [word]) : option(word, ['on']);
}

function option(name: string, values: readonly string[] = []): Asked {
  const shown = name.replaceAll(/[ _]/g, '-');
  const key = spell(name);
  return { key: /^sdes-(?:no|disable)$/.test(key) ? 'sdes-off' : key, name: shown, values };
}

/** rtpengine takes blanks for hyphens, and most names in lower case too. */
function spell(name: string): string {
  return name.replaceAll(/[ _]/g, '-').toLowerCase();
}

function wordsOf(value: NgValue): string[] {
  if (Array.isArray(value)) {
    return value.map((word) => text(word) ?? String(word));
  }
  return (text(value) ?? '').split(/[ \t\r\n]+/).filter((word) => word !== '');
}

/** Elements of a list, names of what is not empty in a dictionary, or a single word. */
function elementsOf(value: NgValue): string[] {
  if (typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value)) {
    return Object.entries(value).flatMap(([name, items]) =>
      Array.isArray(items) && items.length === 0 ? [] : [name],
    );
  }
  return Array.isArray(value) ? wordsOf(value) : [text(value) ?? String(value)];
}

function sourceOf(body: NgDictionary, asked: readonly Asked[]): string | undefined {
  if (!asked.some(({ key }) => key === 'sip-source-address')) {
    return undefined;
  }
  const received = body['received-from'] ?? body['received from'];
  return Array.isArray(received) ? text(received[1]) : undefined;
}

function isOff(values: readonly string[]): boolean {
  return isOneOf('off', 'no', 'disable')(values);
}

function isProtocolOfAll(sdp: SessionDescription, wanted: string): boolean {
  return sdp.media.every(
    ({ port, protocol }) => port === 0 || protocol.toUpperCase() === wanted.toUpperCase(),
  );
}

/** A party that can only be reached over the other version of IP. */
function hasForeignFamily(sdp: SessionDescription, own: string, source: string | undefined): boolean {
  return sdp.media.some(({ port, address = '' }) => {
    const family = isIP(source ?? address);
    return port !== 0 && family !== 0 && family !== isIP(own) && !isUnspecified(address);
  });
}
