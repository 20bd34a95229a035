import { isIP } from 'node:net';
import { isUnspecified } from '../../runtime/address.js';
import { text } from './fields.js';
import type { NgDictionary } from './message.js';
import { optionsOf, sourceOf } from './options.js';
import { SdpError, SessionDescription } from './session-description.js';

/** Something that an offer or answer asks for, and a relay that merely forwards RTP does not do. */
export interface Need {
  /** What asks for it, as people know it. */
  readonly option: string;
  /** What a relay publishes that can do it. */
  readonly feature: string;
}

/** What the relay has that is to carry it out, by which some options are judged. */
export interface Equipment {
  /** Names of its interfaces. */
  readonly interfaces: readonly string[];
  /** Versions of IP of its addresses. */
  readonly families: readonly number[];
  /** It is an agent of ICE, and a lite one. */
  readonly ice: boolean;
  /** It records calls. */
  readonly records: boolean;
  /** What all its media leave with; undefined: that is not set. */
  readonly dscp?: number | undefined;
}

interface Request {
  readonly sdp: SessionDescription;
  readonly isAnswer: boolean;
  /** Undefined if it is still to be chosen. */
  readonly relay: Equipment | undefined;
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
const noRecording: Rule = {
  when: (_, { relay }) => !relay?.records,
  because: 'describes recordings, and there are none',
};
const recordingAs = (...allowed: readonly string[]): Rule => ({
  when: (values, { relay }) => relay?.records === true && isOneOf(...allowed)(values),
  because: 'done, if anything is recorded',
});
const faxTuning: Rule = { because: 'tunes a fax gateway that only T.38-decode and T.38-force start' };

/**
 * Every option of an offer or answer that a relay carries out which merely forwards, or that asks for nothing that it does not
 * do. All others need more, also those that nobody has heard of: an option that is ignored makes one-way audio, or no
 * encryption. RTP/SAVP, DTLS and SDES pass as they come, end to end; such a relay has no keys.
 */
const forwarding: Readonly<Record<string, Rule>> = {
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
  'rtcp-mux-accept': { because: 'done' },
  'rtcp-mux-offer': { because: 'done' },
  'rtcp-mux-require': { because: 'done' },
  'rtcp-mux-demux': { because: 'done' },
  'rtcp-mux-reject': { because: 'done' },
  'original-sendrecv': { because: 'done: directions pass as they come' },
  'transport-protocol': {
    when: (values, { sdp }) => values.every((value) => value === 'accept' || isProtocolOfAll(sdp, value)),
    because: 'the media have this protocol already',
  },
  'address-family': {
    when: (values, { relay }) =>
      values.every((value) => relay?.families.some((family) => value === `IP${family}`)),
    because: 'done: there is an address of this family',
  },
  'media-address': {
    when: (values) => values.every((value) => isIP(value) !== 0 && !isUnspecified(value)),
    because: 'done: the other party is told this address',
  },
  direction: {
    when: (values, { relay }) => values.every((value) => relay?.interfaces.includes(value)),
    because: 'done: there is an interface of this name',
  },

  'sip-source-address': { because: 'done' },
  'trust-address': { because: 'done: the default' },
  symmetric: { because: 'done: the default' },
  asymmetric: { because: 'done: it hears where it has signaled, wherever its packets come from' },
  'strict-source': { because: 'done: strangers are always dropped' },
  'port-latching': { because: 'done: ports never change during a call' },
  'no-port-latching': { because: 'concerns parties that speak ICE' },
  reset: { because: 'done: every offer and answer is learned anew' },
  'endpoint-learning': {
    when: isOneOf('immediate', 'delayed', 'heuristic'),
    because: 'done: the first source after an offer or answer, and the signaled address at any time',
  },

  ice: {
    when: (values, { relay }) => isOneOf('remove', 'default', ...(relay?.ice ? ['force'] : []))(values),
    because: 'done: without ICE, parties use c= and m= (RFC 8839)',
  },
  'ice-lite': {
    when: (values, { relay }) =>
      relay?.ice ? isOneOf('forward', 'backward', 'both')(values) : isOneOf('off')(values),
    because: 'done: it is a lite agent to all, or none at all',
  },
  'reject-ice': { because: 'done' },
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
    // Of the eight bits, two are not of the DSCP (RFC 3168).
    when: (values, { relay }) =>
      values.every((value) => Number(value) < 0 || Number(value) > 255 || Number(value) >> 2 === relay?.dscp),
    because: 'leaves the default, or is what all media leave with',
  },
  't.38-stop': faxTuning,
  't.38-fec': faxTuning,
  't.38-no-ecm': faxTuning,
  't.38-no-v.17': faxTuning,
  't.38-no-v.27ter': faxTuning,
  't.38-no-v.29': faxTuning,
  't.38-no-v.34': faxTuning,
  't.38-no-iaf': faxTuning,

  'record-call': {
    when: (values, { relay }) => relay?.records === true || isOneOf('no', 'off')(values),
    because: 'done',
  },
  'output-format': recordingAs('pcap', 'wav'),
  'mix-method': recordingAs('direct', 'channels'),
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

/** Whatever rtpengine knows besides: what no other feature names. */
const anything = 'ng';
/** The features that options need, by their keys; the first that matches. */
const features: readonly (readonly [RegExp, string])[] = [
  [/^(?:transport-protocol$|sdes-|dtls|osrtp-)/, 'srtp'],
  [/^(?:trickle-)?ice(?:-|$)/, 'ice'],
  [/^(?:codec-(?:accept|consume|mask|set|transcode)|(?:always-)?transcode|ptime)/, 'transcode'],
  [/^(?:t\.38-|(?:inject|detect)-dtmf$|dtmf-|delay-buffer$)/, 'transcode'],
  [/^(?:record|output-format$|mix-method$)/, 'record'],
  [/^(?:audio-player|moh)$/, 'play'],
  [/^(?:direction|interface|from-interface|to-interface|internal|external)$/, 'bridge'],
];
/** What a command needs, whatever its options; of all others that begin a call nothing is known. */
const commands: Readonly<Record<string, readonly string[]>> = { offer: [], publish: ['subscribe'] };

/** Features of a relay that a request should go to, where it begins a call; none if any relay will do. */
export function featuresFor(body: NgDictionary): readonly string[] {
  const command = text(body['command']) ?? '';
  const ofCommand = Object.hasOwn(commands, command) ? commands[command] : undefined;
  const sdp = text(body['sdp']);
  if (!ofCommand || sdp === undefined) {
    return ofCommand ?? [anything];
  }
  return [...new Set([...ofCommand, ...featuresOf(body, sdp)])];
}

function featuresOf(body: NgDictionary, text: string): string[] {
  try {
    const sdp = SessionDescription.parse(text);
    const features = needsOf(body, sdp, undefined).map(({ feature }) => feature);
    // Keys pass from party to party. But a later offer may have to take them off, and an answered call cannot move.
    return sdp.media.some(({ protocol }) => /SAVP/i.test(protocol)) ? [...features, 'srtp'] : features;
  } catch (error) {
    if (error instanceof SdpError) {
      return [anything];
    }
    throw error;
  }
}

/**
 * What an offer or answer needs beyond forwarding, in its order; a relay that merely forwards refuses the first of them.
 * @param relay undefined if it is still to be chosen: then nothing is taken for granted
 */
export function needsOf(body: NgDictionary, sdp: SessionDescription, relay: Equipment | undefined): Need[] {
  const request = { sdp, relay, isAnswer: text(body['command']) === 'answer' };
  const options = optionsOf(body);
  const needs: Need[] = [];
  for (const { key, name, values } of options) {
    const rule = Object.hasOwn(forwarding, key) ? forwarding[key] : undefined;
    if (!rule || (rule.when && !rule.when(values, request))) {
      needs.push({ option: name, feature: featureOf(key, values) });
    }
  }
  // RFC 8827: browsers speak to nobody without ICE. Others fall back, which is why it is removed.
  const removesIce = options.some(({ key, values }) => key === 'ice' && isOneOf('remove')(values));
  if (
    sdp.hasIce &&
    !removesIce &&
    !relay?.ice &&
    sdp.media.some(({ protocol }) => /\/TLS\//i.test(protocol))
  ) {
    needs.push({ option: 'ICE', feature: 'ice' });
  }
  for (const version of versionsOf(sdp, sourceOf(body, options))) {
    if (!relay?.families.includes(version)) {
      needs.push({ option: 'address-family', feature: `ipv${version}` });
    }
  }
  return needs;
}

function featureOf(key: string, values: readonly string[]): string {
  const version = key === 'address-family' ? /^IP([46])$/.exec(values[0] ?? '')?.[1] : undefined;
  return version ? `ipv${version}` : (features.find(([keys]) => keys.test(key))?.[1] ?? anything);
}

function isOff(values: readonly string[]): boolean {
  return isOneOf('off', 'no', 'disable')(values);
}

function isProtocolOfAll(sdp: SessionDescription, wanted: string): boolean {
  return sdp.media.every(
    ({ port, protocol }) => port === 0 || protocol.toUpperCase() === wanted.toUpperCase(),
  );
}

/** Versions of IP over which parties are reached. */
function versionsOf(sdp: SessionDescription, source: string | undefined): Set<number> {
  const addresses = sdp.media.flatMap(({ port, address = '' }) =>
    port !== 0 && !isUnspecified(address) ? (source ?? address) : [],
  );
  return new Set(addresses.map((address) => isIP(address)).filter((version) => version !== 0));
}
