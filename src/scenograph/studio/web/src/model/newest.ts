/** Work of which only the newest counts: one runs at a time, and of those that wait the last one is kept. */
export class Newest<Input> {
  private waiting: { input: Input } | undefined;
  private running: AbortController | undefined;

  constructor(private readonly work: (input: Input, signal: AbortSignal) => Promise<void>) {}

  /** Does the work after what runs now; `urgent` does not wait for it. */
  push(input: Input, urgent = false): void {
    this.waiting = { input };
    if (urgent) this.running?.abort();
    if (!this.running) void this.run();
  }

  cancel(): void {
    this.waiting = undefined;
    this.running?.abort();
  }

  private async run(): Promise<void> {
    while (this.waiting) {
      const { input } = this.waiting;
      this.waiting = undefined;
      this.running = new AbortController();
      try {
        await this.work(input, this.running.signal);
      } finally {
        this.running = undefined;
      }
    }
  }
}
