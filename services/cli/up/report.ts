import { print } from '../output.js';

/** Prints the lines of the proof, and counts those that hold. */
export class Report {
  #failed = 0;
  #lines = 0;

  heading(text: string): void {
    print(`\n${text}`);
  }

  note(text: string): void {
    print(`        ${text}`);
  }

  /** One line of the proof. */
  line(holds: boolean, text: string): void {
    this.#lines++;
    if (!holds) {
      this.#failed++;
    }
    print(`  ${holds ? '  ok' : 'FAIL'}  ${text}`);
  }

  get held(): boolean {
    return this.#failed === 0;
  }

  verdict(): void {
    const held = this.#lines - this.#failed;
    print(`\n${this.held ? 'Proved' : 'NOT proved'}: ${held} of ${this.#lines} lines held.`);
  }
}
