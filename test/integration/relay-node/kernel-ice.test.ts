import { dirname } from 'node:path';
import { iceAgents } from '../../support/ice-agents.js';
import { KernelScene, kernelPrograms, networks } from '../../support/kernel-scene.js';
import { findProgram } from '../../support/program.js';
import { testWith } from '../../support/requirement.js';

testWith.serial(
  [...kernelPrograms, 'aioice', 'python3'],
  'agents of ICE connect, and the kernel forwards their RTP beside their checks and DTLS',
  async (t) => {
    const scene = await KernelScene.open(t);
    await scene.startRelay();
    const { relay, caller } = networks.IPv4;
    const library = dirname(findProgram('aioice') ?? '');
    const python = findProgram('python3') ?? 'python3';
    const agents = await scene.near.run([python, '-c', iceAgents, library, relay, '2223', caller]);
    await agents.waitForLine('{"rtp": 100, "dtls": 4}');
    await scene.until(async () => (await scene.forwarded()).kernel > 0);
    t.true((await scene.forwarded()).userspace < 104, 'not all of them');
  },
);
