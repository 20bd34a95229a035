import { type HoldfastClient, RelayState } from '../client/index.js';
import { json, print } from './output.js';

const maxActorLength = 64;

export interface RelayIntent {
  readonly relayId: string;
  readonly set: string;
  readonly reason?: string | undefined;
  readonly state: RelayState;
  readonly weight?: number | undefined;
}

/** Sets an operator's intent for a relay, and prints what it is now. */
export async function setIntent(
  client: HoldfastClient,
  intent: RelayIntent,
  { json: asJson }: { readonly json?: true },
): Promise<void> {
  const { weight } = intent;
  const actor = (process.env.USER ?? '').slice(0, maxActorLength);
  const { registered } = await client.setIntent({ ...intent, actor });
  const state = RelayState[intent.state].toLowerCase();
  if (asJson) {
    return print(json({ set: intent.set, relay: intent.relayId, state, weight, registered }));
  }
  const name = `${intent.set}/${intent.relayId}`;
  const shown = `${state}${weight === undefined ? '' : `, weight ${weight}`}`;
  print(registered ? `${name} is ${shown}` : `${name} is not registered; once it is, it will be ${shown}`);
}
