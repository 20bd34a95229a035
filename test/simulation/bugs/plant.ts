import { register } from 'node:module';
import { bugs } from './bugs.js';

/** Names the bug that this process is to have; to be loaded before anything else (`node --import`). */
export const bugVariable = 'HOLDFAST_SIMULATED_BUG';

const name = process.env[bugVariable];
const bug = bugs.find((each) => each.name === name);
if (name !== undefined && !bug) {
  throw new Error(`${bugVariable}: ${name} is no bug`);
}
if (bug) {
  register(new URL('hooks.js', import.meta.url), { data: bug.reverts });
}
