import type { Source } from '@roster/client';
import {
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  type FetchFunction,
  type GraphQLResponse,
  type SubscribeFunction,
} from 'relay-runtime';
import type { Listeners } from '../../shared/react/useConnected';
import { roster } from '../../shared/roster';

/** Sends a document by its ID in `persisted-documents.json`, and during development, when it has none, as text. */
function sourceOf({ id, text }: Parameters<FetchFunction>[0]): Source {
  return id ? { documentId: id } : (text ?? '');
}

const fetch: FetchFunction = async (request, variables) => {
  const { data, errors } = await roster.execute(sourceOf(request), variables);
  return { data, errors } as GraphQLResponse;
};

export function createEnvironment(listeners: Listeners): Environment {
  const subscribe: SubscribeFunction = (request, variables) =>
    Observable.create((sink) => {
      const controller = new AbortController();
      const deliver = async () => {
        const { signal } = controller;
        for await (const { data } of roster.subscribeTo(sourceOf(request), variables, { ...listeners, signal })) {
          sink.next({ data } as GraphQLResponse);
        }
      };
      deliver().then(sink.complete, sink.error);
      return () => controller.abort();
    });
  return new Environment({ network: Network.create(fetch, subscribe), store: new Store(new RecordSource()) });
}
