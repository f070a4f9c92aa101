import type { SubscriptionOptions } from '@roster/client';
import { useState } from 'react';

export type Listeners = Pick<SubscriptionOptions, 'onConnect' | 'onDisconnect'>;

export interface Connection {
  /** Whether changes come now. */
  readonly isLive: boolean;
  /** How often they have begun to come: what was read before may have changed since. */
  readonly connections: number;
}

interface Connected<Client> extends Connection {
  readonly client: Client;
}

/** A client, and whether the changes come that it follows. */
export function useConnected<Client>(create: (listeners: Listeners) => Client): Connected<Client> {
  const [isLive, setLive] = useState(false);
  const [connections, setConnections] = useState(0);
  const [client] = useState(() =>
    create({
      onConnect() {
        setLive(true);
        setConnections((count) => count + 1);
      },
      onDisconnect: () => setLive(false),
    }),
  );
  return { client, isLive, connections };
}
