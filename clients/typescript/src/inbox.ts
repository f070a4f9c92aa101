import type { GraphQLErrorBody } from './errors.js';

/** The result in an event. */
export interface EventResult {
  readonly data?: unknown;
  readonly errors?: GraphQLErrorBody[];
}

/** A message of a socket to one of its subscriptions. */
export type Message =
  /** The subscription can be sent. */
  | { readonly type: 'ready' }
  /** A sign of life. */
  | { readonly type: 'alive' }
  | { readonly type: 'next'; readonly payload: EventResult }
  | { readonly type: 'error'; readonly payload: GraphQLErrorBody[] }
  | { readonly type: 'complete' }
  /** The end of the socket, or of the subscription alone. */
  | { readonly type: 'lost'; readonly error: Error };

/** The messages of one subscription, which wait until they are asked for. */
export class Inbox {
  readonly #signal: AbortSignal | undefined;
  readonly #waiting: Message[] = [];
  readonly #onAbort = () => this.#wake();
  #wake = () => {};

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort);
  }

  /** The number of messages that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  put(message: Message): void {
    if (message.type === 'alive' && this.#waiting.at(-1)?.type === 'alive') {
      return;
    }
    this.#waiting.push(message);
    this.#wake();
  }

  /** Returns the next message. Throws if the subscription is aborted. */
  async next(): Promise<Message> {
    for (;;) {
      this.#signal?.throwIfAborted();
      const message = this.#waiting.shift();
      if (message !== undefined) {
        return message;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Forgets the signal of the subscription. */
  end(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}
