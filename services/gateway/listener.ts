import { isIP } from 'node:net';
import { isName, nameRule } from '../domain/name.js';
import { maxLabels } from '../domain/relay.js';
import { type Address, parseAddress } from '../runtime/address.js';
import type { CallScope } from './call-request.js';

/** Where the gateway listens, and what the calls that come there have in common. */
export interface GatewayListener {
  readonly address: Address;
  readonly scope: CallScope;
}

export const maxListeners = 8;
const maxZoneLength = 63;

export const listenersRule =
  `1-${maxListeners} of ADDRESS:PORT, IPv6 in brackets, each with any of set=NAME (${nameRule}), ` +
  `zone=ZONE, label=NAME=VALUE, separated by commas`;

/**
 * `127.0.0.1:2223,set=edge,zone=a,label=tier=1,[::1]:2223`: what has an equals sign belongs to the address before it.
 * Undefined for anything else.
 */
export function parseListeners(text: string): GatewayListener[] | undefined {
  const listeners: Draft[] = [];
  for (const item of text.split(',').map((each) => each.trim())) {
    const listener = listeners.at(-1);
    const understood = item.includes('=')
      ? listener !== undefined && addOption(listener, item)
      : addListener(listeners, item);
    if (!understood) {
      return undefined;
    }
  }
  return listeners.length > maxListeners ? undefined : listeners;
}

interface Draft {
  readonly address: Address;
  readonly scope: { set: string | undefined; zone?: string; labels?: Record<string, string> };
}

function addListener(listeners: Draft[], item: string): boolean {
  const address = parseAddress(item);
  if (!address || isIP(address.host) === 0) {
    return false;
  }
  listeners.push({ address, scope: { set: undefined } });
  return true;
}

function addOption({ scope }: Draft, item: string): boolean {
  const [, option = '', value = ''] = /^([a-z]+)=(.+)$/.exec(item) ?? [];
  switch (option) {
    case 'set':
      if (scope.set !== undefined || !isName(value)) {
        return false;
      }
      scope.set = value;
      return true;
    case 'zone':
      if (scope.zone !== undefined || value.length > maxZoneLength) {
        return false;
      }
      scope.zone = value;
      return true;
    case 'label':
      return addLabel(scope, value);
    default:
      return false;
  }
}

function addLabel(scope: Draft['scope'], text: string): boolean {
  const [, name = '', value = ''] = /^([^=\s]+)=(\S*)$/.exec(text) ?? [];
  const labels = scope.labels ?? {};
  if (name === '' || Object.hasOwn(labels, name) || Object.keys(labels).length >= maxLabels) {
    return false;
  }
  scope.labels = { ...labels, [name]: value };
  return true;
}
