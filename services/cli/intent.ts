import type { Fields, HoldfastClient, SetIntentRequest } from '../client/index.js';
import { actor } from './actor.js';
import { json, print } from './output.js';
import { intentShape } from './shapes.js';

/** Options of every command that changes what operators want of a relay. */
export interface IntentOptions {
  readonly set: string;
  readonly json?: true;
  readonly absentOk?: true;
}

/** How the option that permits an unregistered relay is called and described. */
export const absentOkOption = [
  '--absent-ok',
  'even if no such relay is registered; it applies to the one that registers under this name',
] as const;

/** Sets an operator's intent for a relay, and prints what it is now. */
export async function setIntent(
  client: HoldfastClient,
  change: Fields<SetIntentRequest>,
  { set, json: asJson, absentOk }: IntentOptions,
): Promise<void> {
  const { registered, intent } = await client.setIntent({ ...change, set, actor: actor(), absentOk });
  const { relay, state, weight } = intentShape(intent);
  if (asJson) {
    return print(json({ set, relay, state, weight, registered }));
  }
  const shown = `${state}${weight === undefined ? '' : `, weight ${weight}`}`;
  const name = `${set}/${relay}`;
  print(registered ? `${name} is ${shown}` : `${name} is not registered; once it is, it will be ${shown}`);
}
