/** A block of an event stream: an event, or the position at which the stream begins. */
export interface StreamEvent {
  /** `next` or `complete`. Null if the block has an ID alone. */
  readonly event: string | null;
  readonly id: string | null;
  readonly data: string;
}

/** Reads the events of a stream. Comments are null: they show that the connection is alive. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent | null, void, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      text += decoder.decode(value, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        yield eventOf(block);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function eventOf(block: string): StreamEvent | null {
  const values = (name: string) =>
    block
      .split('\n')
      .filter((line) => line.startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).replace(/^ /, ''));
  const [event = null] = values('event');
  const [id = null] = values('id');
  return event === null && id === null ? null : { event, id, data: values('data').join('\n') };
}
