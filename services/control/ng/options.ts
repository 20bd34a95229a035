import { text } from './fields.js';
import type { NgDictionary, NgValue } from './message.js';

/** An option that a request carries, wherever it is written. */
export interface Option {
  /** In lower case, with hyphens. Elements of lists go by the name of their list: `replace-origin`, `sdes-off`. */
  readonly key: string;
  /** As people know it. */
  readonly name: string;
  readonly values: readonly string[];
}

/** Lists whose elements are options of their own. */
const lists = ['replace', 'rtcp-mux', 'sdes', 'osrtp', 't.38', 'supports', 'codec'];
const transports = /^(?:UDP\/TLS\/)?RTP\/S?AVPF?$/;

/** More than any proxy sends; each one costs a little work. */
export const maxOptions = 512;
const maxNameLength = 255;

/**
 * The options of an ng request, from its keys, lists, `flags` and `rtpp-flags`, in its order. Those above the limit are one,
 * `too-many-options`, which nobody supports.
 */
export function optionsOf(body: NgDictionary): Option[] {
  const options: Option[] = [];
  for (const [key, value] of Object.entries(body)) {
    for (const each of writtenAs(key, value)) {
      if (options.length === maxOptions) {
        return [...options, option('too-many-options')];
      }
      options.push(each);
    }
  }
  return options;
}

function writtenAs(key: string, value: NgValue): Option[] {
  const spelled = spell(key);
  if (spelled === 'flags' || spelled === 'rtpp-flags') {
    return wordsOf(value)
      .slice(0, maxOptions + 1)
      .map(fromWord);
  }
  if (lists.includes(spelled)) {
    const elements = elementsOf(value).slice(0, maxOptions + 1);
    return elements.map((element) => option(`${key}-${element}`));
  }
  return [option(key, Array.isArray(value) ? value.map(String) : [text(value) ?? String(value)])];
}

/** Where the SIP message came from, if that address is to be believed more than the SDP's. */
export function sourceOf(body: NgDictionary, options: readonly Option[]): string | undefined {
  if (!options.some(({ key }) => key === 'sip-source-address')) {
    return undefined;
  }
  const received = body['received-from'] ?? body['received from'];
  return Array.isArray(received) ? text(received[1]) : undefined;
}

/** A word of `flags`: a flag, a `name=value`, or a transport protocol. */
function fromWord(word: string): Option {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
  if (name !== undefined && value !== undefined) {
    return lists.includes(spell(name)) ? option(`${name}-${value}`) : option(name, [value]);
  }
  return transports.test(word) ? option('transport-protocol', [word]) : option(word, ['on']);
}

function option(longName: string, values: readonly string[] = []): Option {
  const name = longName.slice(0, maxNameLength);
  const shown = name.replaceAll(/[ _]/g, '-');
  const key = spell(name);
  return { key: /^sdes-(?:no|disable)$/.test(key) ? 'sdes-off' : key, name: shown, values };
}

/** rtpengine takes blanks for hyphens, and most names in lower case too. */
function spell(name: string): string {
  return name.slice(0, maxNameLength).replaceAll(/[ _]/g, '-').toLowerCase();
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
