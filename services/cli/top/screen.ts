import type { Fleet } from '../../console/fleet.js';
import { terminalOf } from '../terminal.js';
import { type Choice, press } from './choice.js';
import { sortable, topScreen } from './view.js';

/** Ages go on without news, ms. */
const redrawMs = 1000;
/** What comes at once is drawn once, ms. */
const drawDelayMs = 50;
const usualHeight = 24;

const enter = '\x1b[?1049h\x1b[?25l';
const leave = '\x1b[?25h\x1b[?1049l';
const toTop = '\x1b[H';
/** Before its text: after a text as wide as the terminal it would take the last character away. */
const clearLine = '\x1b[2K';
const clearBelow = '\x1b[J';

/** Draws the fleet on a terminal until a key ends it. The terminal is as before then, also if the process is told to end. */
export class TopScreen {
  readonly #fleet: Fleet;
  readonly #choice: Choice;
  readonly #in: NodeJS.ReadStream;
  readonly #out: NodeJS.WriteStream;
  #pending: NodeJS.Timeout | undefined;

  constructor(
    fleet: Fleet,
    choice: Choice,
    streams: { readonly in: NodeJS.ReadStream; readonly out: NodeJS.WriteStream },
  ) {
    this.#fleet = fleet;
    this.#choice = choice;
    this.#in = streams.in;
    this.#out = streams.out;
  }

  /** Resolves when a key or a signal has ended it. */
  run(): Promise<void> {
    const input = this.#in;
    return new Promise((resolve) => {
      const draw = () => this.#draw();
      const soon = () => {
        this.#pending ??= setTimeout(draw, drawDelayMs);
      };
      const end = () => {
        clearInterval(clock);
        clearTimeout(this.#pending);
        unsubscribe();
        input.off('data', onKeys).off('end', end);
        this.#out.off('resize', draw);
        process.off('SIGTERM', end).off('SIGINT', end).off('SIGHUP', end);
        if (input.isTTY) {
          input.setRawMode(false);
        }
        input.pause();
        this.#out.write(leave);
        resolve();
      };
      const onKeys = (keys: string) => {
        if (press(this.#choice, keys, sortable)) {
          end();
        } else {
          draw();
        }
      };
      const clock = setInterval(draw, redrawMs);
      const unsubscribe = this.#fleet.subscribe(soon);
      this.#out.write(enter);
      this.#out.on('resize', draw);
      process.on('SIGTERM', end).on('SIGINT', end).on('SIGHUP', end);
      if (input.isTTY) {
        input.setRawMode(true);
      }
      input.setEncoding('utf8').on('data', onKeys).on('end', end);
      draw();
    });
  }

  #draw(): void {
    clearTimeout(this.#pending);
    this.#pending = undefined;
    const size = { terminal: terminalOf(this.#out), height: this.#out.rows || usualHeight };
    const lines = topScreen(this.#fleet, this.#choice, size, this.#fleet.heardAtMs);
    this.#out.write(toTop + lines.map((line) => clearLine + line).join('\n') + clearBelow);
  }
}
