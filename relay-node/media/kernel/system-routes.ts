import { execFile } from 'node:child_process';
import { z } from 'zod';
import { type Route, type RouteResolver, wayTo } from './routes.js';

const deviceSchema = z.object({ ifindex: z.number(), ifname: z.string() });
const routeSchema = z.object({
  type: z.string().optional(),
  dst: z.string(),
  from: z.string().optional(),
  dev: z.string(),
  gateway: z.string().optional(),
  via: z.unknown().optional(),
});
const lineSchema = z.array(z.union([deviceSchema, routeSchema]));

/** What nft takes in quotes; a device name has at most 15 characters. */
const quotable = /^[^\s"\\/;]{1,15}$/;

/** Asks iproute2's `ip`, once for all. */
export function systemRoutes(): RouteResolver {
  return (ways) =>
    new Promise((resolve, reject) => {
      // The PATH of an ordinary user often lacks the directories of system programs. -force: an address without a route is an
      // error, and must not keep the others from their answers.
      const script = 'PATH=/usr/sbin:/sbin:$PATH; exec ip -json -force -batch -';
      const options = { timeout: 10_000, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 } as const;
      const child = execFile('sh', ['-c', script], options, (error, output, errors) => {
        if (error && error.code !== 1) {
          const [line] = errors.split('\n', 1);
          return reject(new Error(line || error.message));
        }
        try {
          resolve(routesIn(output));
        } catch (cause) {
          reject(cause);
        }
      });
      child.stdin?.on('error', () => undefined); // it did not start, which is told above
      const questions = ways.map((way) => `route get ${way}\n`);
      child.stdin?.end(`link show\n${questions.join('')}`);
    });
}

/** Of what `ip` answers to `link show` and then to each `route get`. @throws Error if it is of another form */
export function routesIn(output: string): Map<string, Route> {
  const indexes = new Map<string, number>();
  const routes = new Map<string, Route>();
  for (const line of output.split('\n').filter((each) => each.trim() !== '')) {
    for (const each of lineSchema.parse(JSON.parse(line))) {
      if ('ifindex' in each) {
        indexes.set(each.ifname, each.ifindex);
        continue;
      }
      const { type = 'unicast', dst, from = '', dev, gateway, via } = each;
      const index = indexes.get(dev);
      // A gateway of the other IP version needs another kind of neighbor.
      if (type === 'unicast' && via === undefined && dev !== 'lo' && quotable.test(dev) && index) {
        routes.set(wayTo(dst, from), { device: dev, index, gateway });
      }
    }
  }
  return routes;
}
